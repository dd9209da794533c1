"""The web page: files for a browser, and the resource that serves them. What they show is the API's."""
