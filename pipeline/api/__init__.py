"""From a folder of images and a Keras classifier to an activation atlas."""
