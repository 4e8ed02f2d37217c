/* What a person with a screen reader, a keyboard or weak eyes would stumble over on this page: a list
   of sentences. WCAG 2.1: 1.3.1, 1.4.3, 1.4.10, 2.4.2, 2.4.6, 3.3.2, 4.1.1, 4.1.2. */
() => {
  const found = [];
  const seen = (element) => element.getClientRects().length > 0 && !element.closest(".unseen, .skip");
  const named = (element) => (element.innerText || element.getAttribute("aria-label") || "").trim();
  if (document.documentElement.scrollWidth > innerWidth) {
    const wide = [...document.querySelectorAll("main *")].find((e) => e.getBoundingClientRect().right > innerWidth + 1);
    found.push(`wider than the screen: ${wide?.outerHTML.slice(0, 120)}`);
  }
  if (document.querySelectorAll("h1").length !== 1) found.push("not one h1");
  if (!document.documentElement.lang) found.push("no language");
  if (!document.title.trim()) found.push("no title");
  if (!document.querySelector("main")) found.push("no main part");
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) found.push(`twice: ${id}`);
  for (const field of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
    if (!field.labels.length) found.push(`without label: ${field.outerHTML.slice(0, 80)}`);
  }
  for (const element of document.querySelectorAll("a, button, summary")) {
    if (seen(element) && !named(element)) found.push(`without name: ${element.outerHTML.slice(0, 80)}`);
  }
  for (const section of document.querySelectorAll("[aria-labelledby]")) {
    const label = document.getElementById(section.getAttribute("aria-labelledby"));
    if (!label) found.push(`labelled by nothing: ${section.id}`);
  }
  let level = 1;
  for (const heading of document.querySelectorAll("main :is(h1, h2, h3, h4)")) {
    const next = Number(heading.nodeName[1]);
    if (next > level + 1) found.push(`heading skips a level: ${heading.innerText}`);
    level = next;
  }

  const numbers = (colour) => colour.match(/[\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = numbers(colour).slice(0, 3).map((value) => {
      const part = value / 255;
      return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (numbers(colour)[3] !== 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (!own || !seen(element) || element.disabled) continue;
    const [one, other] = [light(getComputedStyle(element).color), light(ground(element))].sort((a, b) => b - a);
    const contrast = (one + 0.05) / (other + 0.05);
    if (contrast < 4.5) found.push(`contrast ${contrast.toFixed(1)}: ${element.outerHTML.slice(0, 100)}`);
  }
  const button = document.querySelector("main :is(a, button, select)");
  button?.focus();
  return [...new Set(found)];
}
