// The page in a frame of a chat client: what the client around it can do for it. On a page of its own there is none.

import { DiscordClient } from "./discord.js";

class PlainFrame {
  openLink(url) {
    open(url, "_blank", "noopener");
  }
}

// Slack's sandbox lets its frames open no window; the side pane has a button of its own for that.
class SealedFrame {
  openLink = null;
}

const CLIENTS = { discord: DiscordClient, slack: SealedFrame };

// `people(names)` is called whenever others come or go, where the client tells. Null on a page of its own.
export function enterFrame(people) {
  const { embed } = document.body.dataset;
  if (!embed) return null;
  return new (CLIENTS[embed] ?? PlainFrame)(people);
}
