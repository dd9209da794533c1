// validatorUrl: the page is not to ask another host what it thinks of the document.
// requestInterceptor: a browser sends no body with GET, and POST asks the same.
SwaggerUIBundle({
  url: "/api/openapi.json",
  dom_id: "#page",
  deepLinking: true,
  validatorUrl: null,
  requestInterceptor: (request) => {
    request.curlOptions = [];
    if (request.method === "GET" && request.body !== undefined) {
      request.method = "POST";
    }
    return request;
  },
});
