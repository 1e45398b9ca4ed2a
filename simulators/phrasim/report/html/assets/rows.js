// From row to row by the arrow keys; a link to a message opens it.
"use strict";
(() => {
  const summaries = () => [...document.querySelectorAll(".rows summary")];
  document.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !event.target.matches(".rows summary")) return;
    const all = summaries();
    const next = all[all.indexOf(event.target) + step];
    if (!next) return;
    event.preventDefault();
    next.focus();
  });
  const open = () => {
    const row = document.getElementById(location.hash.slice(1));
    const details = row?.matches(".row") ? row.querySelector("details") : null;
    if (!details) return;
    details.open = true;
    details.querySelector("summary").focus();
  };
  addEventListener("hashchange", open);
  addEventListener("load", open); // by then the browser has gone to the fragment, by which it takes the focus away
})();
