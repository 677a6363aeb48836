// Long names break between their words, not inside one: after "_", "." and "(", before a capital.
// A <wbr> allows a break, and copies of the text are without it.
(() => {
  const titles =
    "h1, h2, h3, .sig-name, .sig-prename, .bd-links, .page-toc, .prev-next-title, .breadcrumb-item";
  const prose = "dt:not(.sig), li strong, code.literal";
  const betweenWords =
    /(?<=[A-Za-z0-9]_|[A-Za-z\])]\.|[(=:/[])(?=[\w"'])|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/;

  const texts = new Set();
  for (const element of document.querySelectorAll(`:is(${titles}, ${prose}):not(:is(td, th) *)`)) {
    const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) texts.add(walker.currentNode);
  }
  for (const text of texts) {
    if (text.parentElement.closest("mjx-container, .math, pre")) continue;
    // Shorter names fit into a line of a narrow page, or of a sidebar.
    const long = text.parentElement.closest(titles) ? 12 : 20;
    const names = text.data.split(/(?<=\s)/);
    const pieces = names.flatMap((name) => {
      const words = name.length < long ? [name] : name.split(betweenWords);
      return words.flatMap((word, k) => (k ? [document.createElement("wbr"), word] : [word]));
    });
    text.replaceWith(...pieces);
  }
})();

// Options of commands do not break after their hyphens.
for (const code of document.querySelectorAll("code.literal span.pre")) {
  if (code.textContent.length < 16) code.style.whiteSpace = "nowrap";
}

// A number and its error, or "d = 2", stay on one line of their cell; the table scrolls instead.
for (const cell of document.querySelectorAll("td, th")) {
  if (cell.textContent.trim().length <= 16) cell.style.whiteSpace = "nowrap";
}

// Wide pictures of the gallery become figures, which scroll on a narrow page.
for (const image of document.querySelectorAll("img.sphx-glr-single-img")) {
  const frame = () => {
    if (image.naturalWidth < 1.6 * image.naturalHeight) return;
    const figure = document.createElement("figure");
    image.replaceWith(figure);
    figure.append(image);
    image.style.width = "100%";
  };
  if (image.complete) frame();
  else image.addEventListener("load", frame);
}
