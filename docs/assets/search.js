// A browser lets no page that it opened from the file system read an index of words: better no box than one that waits.
if (location.protocol === "file:") {
  for (const box of document.querySelectorAll(".md-search, label[for=__search]")) box.remove();
}
