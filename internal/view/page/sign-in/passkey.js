// Passkeys: the browser and its authenticator do the work, this carries what
// they say. Bytes are base64url in JSON both ways. The secret that opens older
// mail (PRF) comes along with the proof, over TLS, and is kept nowhere here.
"use strict";
(() => {
  if (!window.PublicKeyCredential || !navigator.credentials) return;

  const bytes = (s) => Uint8Array.from(atob(s.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (b) => btoa(String.fromCharCode(...new Uint8Array(b))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

  // prf turns the salts of the PRF extension into bytes.
  function prf(ext) {
    if (!ext || !ext.prf) return;
    const salts = (e) => {
      for (const k of ["first", "second"]) if (typeof e[k] === "string") e[k] = bytes(e[k]);
    };
    if (ext.prf.eval) salts(ext.prf.eval);
    for (const e of Object.values(ext.prf.evalByCredential || {})) salts(e);
  }

  function options(o) {
    const k = o.publicKey;
    k.challenge = bytes(k.challenge);
    if (k.user) k.user.id = bytes(k.user.id);
    for (const list of [k.allowCredentials, k.excludeCredentials]) for (const c of list || []) c.id = bytes(c.id);
    prf(k.extensions);
    return o;
  }

  function said(c) {
    const r = c.response;
    const response = { clientDataJSON: text(r.clientDataJSON) };
    if (r.attestationObject) {
      response.attestationObject = text(r.attestationObject);
      if (r.getTransports) response.transports = r.getTransports();
    } else {
      response.authenticatorData = text(r.authenticatorData);
      response.signature = text(r.signature);
      if (r.userHandle) response.userHandle = text(r.userHandle);
    }
    const results = c.getClientExtensionResults();
    const out = {};
    if (results.credProps) out.credProps = results.credProps;
    if (results.prf) {
      out.prf = {};
      if ("enabled" in results.prf) out.prf.enabled = results.prf.enabled;
      if (results.prf.results) {
        out.prf.results = {};
        for (const [k, v] of Object.entries(results.prf.results)) if (v) out.prf.results[k] = text(v);
      }
    }
    return { id: c.id, rawId: text(c.rawId), type: c.type, authenticatorAttachment: c.authenticatorAttachment || undefined, response, clientExtensionResults: out };
  }

  const post = (url, body) => fetch(url, { method: "POST", headers: { "HX-Request": "true", "Content-Type": "application/json" }, body: JSON.stringify(body) });

  async function run(box) {
    const wrong = box.querySelector("[data-wrong]");
    wrong.hidden = true;
    const { passkey, begin, finish, opening, back } = box.dataset;
    const name = document.getElementById("passkey-name");
    try {
      const start = await post(begin, {});
      if (start.status === 403) { // Who is there has to be proven first: the form shows how.
        const form = document.createElement("form");
        form.method = "post";
        form.action = begin;
        document.body.append(form);
        form.submit();
        return;
      }
      if (!start.ok) throw new Error(String(start.status));
      let ceremony = await start.json();
      let credential = passkey === "create" ? await navigator.credentials.create(options(ceremony.options)) : await navigator.credentials.get(options(ceremony.options));
      let answer = await post(finish, { id: ceremony.id, name: name ? name.value : "", back, credential: said(credential) });
      let body = await answer.json();
      if (answer.ok && body.options) { // Most tell their secret only when they are used.
        credential = await navigator.credentials.get(options(body.options));
        answer = await post(opening, { id: body.id, back, credential: said(credential) });
        body = await answer.json();
      }
      if (!answer.ok) {
        wrong.textContent = body.error || wrong.dataset.wrong;
        wrong.hidden = false;
        return;
      }
      location.assign(body.go || back);
    } catch (e) {
      wrong.textContent = wrong.dataset.wrong;
      wrong.hidden = false;
    }
  }

  for (const box of document.querySelectorAll("[data-passkey]")) {
    box.hidden = false;
    const button = box.querySelector("button");
    button.addEventListener("click", async () => {
      button.disabled = true;
      await run(box);
      button.disabled = false;
    });
  }
})();
