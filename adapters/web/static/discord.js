// Discord's client around an Activity, as far as this page needs it: the handshake, who is here, links that open outside.
// Messages are arrays [opcode, payload] by postMessage; shapes as in Discord's embedded-app-sdk 2.5.0 (src/Discord.ts).

const HANDSHAKE = 0;
const FRAME = 1;
const CLOSE = 2;
const ORIGINS = new Set(
  ["", "ptb.", "canary."].flatMap((name) => [`https://${name}discord.com`, `https://${name}discordapp.com`]),
);
const PARTICIPANTS = "GET_ACTIVITY_INSTANCE_CONNECTED_PARTICIPANTS";
const PARTICIPANTS_CHANGED = "ACTIVITY_INSTANCE_PARTICIPANTS_UPDATE";
const LAYOUT_CHANGED = "ACTIVITY_LAYOUT_MODE_UPDATE";
const FOCUSED = 0; // the others are small: picture-in-picture, and a tile among others
const MAX_PEOPLE = 25; // names that are shown

export class DiscordClient {
  // `people(names)` is called whenever others come or go.
  constructor(people) {
    this.people = people;
    this.isReady = false;
    this.client = window.parent.opener ?? window.parent;
    addEventListener("message", (event) => this.onMessage(event));
    const frameId = new URLSearchParams(location.search).get("frame_id");
    const { clientId } = document.body.dataset;
    this.send(HANDSHAKE, { v: 1, encoding: "json", client_id: clientId, frame_id: frameId });
  }

  // The client asks the person before it opens a link.
  openLink(url) {
    if (this.isReady) this.command("OPEN_EXTERNAL_LINK", { url });
    else open(url, "_blank", "noopener");
  }

  command(cmd, args, evt) {
    this.send(FRAME, { cmd, args, ...(evt && { evt }), nonce: crypto.randomUUID() });
  }

  // Nothing in it is a secret, so a client at an address that does not show in the referrer may have it, too.
  send(opcode, payload) {
    const referrer = document.referrer && new URL(document.referrer).origin;
    this.client.postMessage([opcode, payload], ORIGINS.has(referrer) ? referrer : "*");
  }

  onMessage({ origin, source, data }) {
    if (source !== this.client || !ORIGINS.has(origin) || !Array.isArray(data)) return;
    const [opcode, payload] = data;
    if (opcode === CLOSE) this.isReady = false;
    if (opcode !== FRAME || !payload) return;
    const { cmd, evt, data: content } = payload;
    if (evt === "ERROR" || !content) return;
    if (cmd === "DISPATCH" && evt === "READY") this.onReady();
    if (cmd === PARTICIPANTS || evt === PARTICIPANTS_CHANGED) this.onPeople(content.participants);
    if (cmd === "DISPATCH" && evt === LAYOUT_CHANGED) {
      document.documentElement.toggleAttribute("data-small", content.layout_mode !== FOCUSED);
    }
  }

  onReady() {
    this.isReady = true;
    this.command("SUBSCRIBE", {}, PARTICIPANTS_CHANGED);
    this.command("SUBSCRIBE", {}, LAYOUT_CHANGED);
    this.command(PARTICIPANTS, {});
  }

  onPeople(participants) {
    if (!Array.isArray(participants)) return;
    const names = participants.filter(({ bot }) => !bot).map((one) => String(one.nickname || one.global_name || one.username));
    this.people(names.slice(0, MAX_PEOPLE));
  }
}
