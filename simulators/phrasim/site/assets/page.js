// What the theme leaves unsaid to those who do not see the page, or have no mouse.
addEventListener("load", () => {
  document.querySelector(".md-search")?.setAttribute("aria-label", "Search")
  for (const wide of document.querySelectorAll(".md-typeset__scrollwrap, .md-typeset pre > code")) {
    wide.tabIndex = 0
  }
})
