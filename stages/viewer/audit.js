// The page of an audit: the theme; all else is written.

theme(() => {});
