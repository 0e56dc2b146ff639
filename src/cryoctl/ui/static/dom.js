// Elements and numbers. Text from anywhere becomes text, never markup.

export const byId = (id) => document.getElementById(id);

/** Makes an element: el("button.primary", {type: "button", onclick: f}, "text", child). */
export function el(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  return fill(document.createElement(tag), classes, attributes, children);
}

/** Makes an element of a picture. */
export function svg(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), classes, attributes, children);
}

function fill(node, classes, attributes, children) {
  for (const name of classes) node.classList.add(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (typeof value === "boolean") node.toggleAttribute(key, value);
    else if (value !== null && value !== undefined) node.setAttribute(key, String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Sets the text of an element, and touches nothing if it is that already. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Sets or removes an attribute, and touches nothing if it is so already. */
export function mark(node, name, on) {
  if (node.hasAttribute(name) !== on) node.toggleAttribute(name, on);
}

export const MINUS = "\u2212";

/** A number for people, with a true minus; a dash where there is none. */
export function number(value, digits = 0) {
  if (value === null || value === undefined) return "–";
  return value.toFixed(digits).replace("-", MINUS).replace(/^\u2212(0\.?0*)$/, "$1");
}

/** Seconds as m:ss. */
export function clock(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const whole = Math.max(0, Math.round(seconds));
  const minutes = Math.floor(whole / 60);
  return `${minutes}:${String(whole % 60).padStart(2, "0")}`;
}

/** "HOLD" and "LEAK_TEST" as a person reads them. */
export const words = (name) => (name ?? "").replaceAll("_", " ");
