"""Reports: runs merged into tables in the docs layout, as Markdown, CSV and JSON, with the page's figures beside."""
