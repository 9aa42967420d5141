// Filters and sorts the rows. All of them are in the page, so that it can be read without this; from
// here on only so many are part of it at a time, which keeps it quick.
"use strict";
(() => {
  const STEP = 500;
  const $ = (id) => document.getElementById(id);
  const list = $("list"), body = list.tBodies[0], headers = [...list.tHead.rows[0].cells];
  const text = $("text"), choice = $("choice"), found = $("found"), more = $("more");
  const number = new Intl.NumberFormat("en");
  const collator = new Intl.Collator(undefined, { numeric: true });

  const rows = [...body.rows].map((tr) => ({
    tr,
    status: tr.className,
    cells: [...tr.cells].map((cell) => cell.textContent),
  }));
  for (const row of rows) row.text = row.cells.join("\n").toLowerCase();
  let order = rows;
  let matching = rows;
  let shown = STEP;

  function show() {
    body.replaceChildren(...matching.slice(0, shown).map((row) => row.tr));
    more.hidden = matching.length <= shown;
    more.textContent = `Show ${number.format(Math.min(STEP, matching.length - shown))} more`;
    const part = more.hidden ? "" : `, the first ${number.format(shown)} shown`;
    found.textContent = `${number.format(matching.length)} of ${number.format(rows.length)} rows${part}`;
  }

  function filter() {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    matching = order.filter(
      (row) =>
        (choice.value === "" || row.status === choice.value) &&
        words.every((word) => row.text.includes(word)),
    );
    shown = STEP;
    show();
  }

  // Up, down, and back to the sheet's order. Empty cells come last either way.
  function sort(column) {
    const next = { none: "ascending", ascending: "descending", descending: "none" };
    const direction = next[headers[column].getAttribute("aria-sort") ?? "none"];
    for (const header of headers) header.removeAttribute("aria-sort");
    order = rows;
    if (direction !== "none") {
      headers[column].setAttribute("aria-sort", direction);
      const sign = direction === "ascending" ? 1 : -1;
      const isNumber = headers[column].classList.contains("num");
      const compare = isNumber ? (a, b) => Number(a) - Number(b) || 0 : collator.compare;
      order = [...rows].sort((a, b) => {
        const [x, y] = [a.cells[column], b.cells[column]];
        return (x === "") - (y === "") || sign * compare(x, y);
      });
    }
    filter();
  }

  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    button.addEventListener("click", () => sort(column));
    header.append(button);
  });
  text.addEventListener("input", filter);
  choice.addEventListener("change", filter);
  more.addEventListener("click", () => {
    shown += STEP;
    show();
  });
  $("tools").hidden = false;
  show();
})();
