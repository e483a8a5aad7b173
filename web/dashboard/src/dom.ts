// Elements from names, attributes and children. Text is always text: nothing here parses markup.

type Child = Node | string | null;

export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, string> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, text] of Object.entries(attributes)) {
    element.setAttribute(name, text);
  }
  element.append(...children.filter((child): child is Node | string => child !== null));
  return element;
}

export function svg(tag: string, attributes: Record<string, string> = {}): SVGElement {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, text] of Object.entries(attributes)) {
    element.setAttribute(name, text);
  }
  return element;
}

// Replace all children.
export function fill(element: Element, ...children: Child[]): void {
  element.replaceChildren(...children.filter((child): child is Node | string => child !== null));
}

// Set the text only when it changes, so that screen readers and selections are left in peace.
export function say(element: Element, text: string): void {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

export function button(label: string, kind: string, onClick: () => void): HTMLButtonElement {
  const made = el("button", { type: "button", class: kind }, label);
  made.addEventListener("click", onClick);
  return made;
}

// A card: a section with a heading and a place for its content.
export function card(id: string, title: string, ...aside: Child[]): { root: HTMLElement; body: HTMLElement } {
  const body = el("div", { class: "card-body" });
  const head = el("header", { class: "card-head" }, el("h2", { id: `${id}-title` }, title), ...aside);
  const root = el("section", { id, class: "card", "aria-labelledby": `${id}-title` }, head, body);
  return { root, body };
}

export function $(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) {
    throw new Error(`no element #${id}`);
  }
  return found;
}
