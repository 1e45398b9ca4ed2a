// Shows an OpenAPI document in Swagger UI, dark where the page is dark.
function phrasimShow(spec) {
  SwaggerUIBundle({
    spec,
    dom_id: "#swagger-ui",
    deepLinking: false,
    docExpansion: "list",
    defaultModelsExpandDepth: -1,
    supportedSubmitMethods: [],
    syntaxHighlight: false,
    validatorUrl: null,
  })
  // What it shows when something is unfolded has choices without a name, and boxes that only a mouse can scroll.
  const shown = document.getElementById("swagger-ui")
  new MutationObserver(() => {
    for (const choice of shown.querySelectorAll("select:not([aria-label])")) choice.setAttribute("aria-label", "Example")
    for (const box of shown.querySelectorAll("pre:not([tabindex])")) box.tabIndex = 0
  }).observe(shown, { childList: true, subtree: true })
  const follow = () =>
    document.documentElement.classList.toggle("dark-mode", document.body.dataset.mdColorScheme === "slate")
  new MutationObserver(follow).observe(document.body, { attributeFilter: ["data-md-color-scheme"] })
  follow()
}
