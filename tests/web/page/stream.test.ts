import assert from "node:assert/strict";
import { test } from "node:test";
import type { Message } from "../src/sse.ts";
import { sseReader } from "../src/sse.ts";

function read(...pieces: string[]): Message[] {
  const messages: Message[] = [];
  const feed = sseReader((message) => messages.push(message));
  pieces.forEach(feed);
  return messages;
}

test("a message has an event, data and an id", () => {
  assert.deepEqual(read("id: 7\nevent: log\ndata: [1]\n\n"), [{ id: "7", event: "log", data: "[1]" }]);
});

test("a message may arrive in any pieces", () => {
  const bytes = "id: 7\nevent: log\ndata: [1]\n\nevent: summary\ndata: {}\n\n";
  assert.deepEqual(read(...bytes), read(bytes));
  assert.equal(read(bytes).length, 2);
});

test("comments and half messages say nothing", () => {
  assert.deepEqual(read(": still here\n\n"), []);
  assert.deepEqual(read("data: 1\n"), []);
});

test("an id stays until another comes", () => {
  assert.deepEqual(read("id: 3\ndata: a\n\ndata: b\n\n").map((message) => message.id), ["3", "3"]);
});

test("several data lines are joined, a carriage return before a line feed is dropped", () => {
  assert.equal(read("data: a\r\ndata:b\r\n\r\n")[0]?.data, "a\nb");
});
