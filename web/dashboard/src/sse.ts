// Server-sent events as bytes arrive (WHATWG HTML, 9.2.6). Pure.

export interface Message {
  event: string;
  data: string;
  id: string;
}

// Feed text as it comes; onMessage is called for each whole message. Comments are skipped.
export function sseReader(onMessage: (message: Message) => void): (text: string) => void {
  let rest = "";
  let event = "";
  let data: string[] = [];
  let id = "";

  function line(text: string): void {
    if (text === "") {
      if (data.length > 0) {
        onMessage({ event: event === "" ? "message" : event, data: data.join("\n"), id });
      }
      event = "";
      data = [];
      return;
    }
    const colon = text.indexOf(":");
    const field = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? "" : text.slice(colon + 1).replace(/^ /, "");
    if (field === "event") {
      event = value;
    } else if (field === "data") {
      data.push(value);
    } else if (field === "id") {
      id = value;
    }
  }

  return (text) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const one of lines) {
      line(one.replace(/\r$/, ""));
    }
  };
}
