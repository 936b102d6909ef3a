"use strict";

// Relative, so that the page works behind a proxy that serves it under a path of its own.
SwaggerUIBundle({ url: "openapi.json", dom_id: "#docs", deepLinking: true, docExpansion: "list", validatorUrl: null });
