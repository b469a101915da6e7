// Swagger UI over this service's own description, with the key that the console was given in this tab.

const KEY = "api-key";

function withKey(request) {
  const key = sessionStorage.getItem(KEY);
  if (key && new URL(request.url, document.baseURI).origin === location.origin) {
    request.headers.Authorization = `Bearer ${key}`;
  }
  return request;
}

SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  validatorUrl: null, // by default the description is sent to a server elsewhere
  requestInterceptor: withKey,
});
