// validatorUrl: the page is not to ask another host what it thinks of the document.
SwaggerUIBundle({
  url: "/api/openapi.json",
  dom_id: "#page",
  deepLinking: true,
  validatorUrl: null,
});
