/* The door on a phone. Every button works without this file.

   With it, sign-ins made without a connection wait on this phone and are sent when it is back.
   What waits is ids, numbers and times, never a name. Each has a key of its own: sent twice it is
   still one, and what was undone stays undone. */
(function () {
  "use strict";
  var spanish = document.documentElement.lang === "es";
  var words = spanish ? {
    saved: "Todo guardado.", one: "1 sin enviar todavía.", many: "{n} sin enviar todavía.",
    again: "Se envía solo cuando vuelva la conexión. Deje esta página abierta.",
    sending: "Enviando…", refused: "No se pudo guardar {n}: no es de esta lista.",
    login: "Su sesión terminó. Entre otra vez en esta página: lo que falta queda en este teléfono.",
    link: "Entrar otra vez", leave: "Hay registros sin enviar.", here: "Aquí desde las {t}",
    now: "ahora", guest: " con 1 acompañante", guests: " con {n} acompañantes",
    already: "Ya está: {w}", done: "{w}: registro hecho", strange: "Este código no es de esta lista.",
    camera: "No se pudo abrir la cámara.", looking: "Ponga el código frente a la cámara.",
    offline: "Sin conexión: esto no se guardó. Su texto sigue aquí. Inténtelo otra vez, o escríbalo en la hoja de papel.",
    memory: "Este navegador no deja guardar nada: no cierre esta página antes de que todo esté enviado."
  } : {
    saved: "All saved.", one: "1 not sent yet.", many: "{n} not sent yet.",
    again: "It is sent by itself when the connection is back. Keep this page open.",
    sending: "Sending…", refused: "{n} could not be saved: not on this list.",
    login: "You are logged out. Log in again on this page: what is not sent stays on this phone.",
    link: "Log in again", leave: "Some sign-ins are not sent yet.", here: "Here since {t}",
    now: "now", guest: " with 1 guest", guests: " with {n} guests",
    already: "In already: {w}", done: "{w}: signed in", strange: "This code is not on this list.",
    camera: "The camera could not be opened.", looking: "Hold the code in front of the camera.",
    offline: "No connection: this was not saved. Your text is still here. Try again, or write it on the paper sheet.",
    memory: "This browser keeps nothing: do not close this page before everything is sent."
  };
  function all(selector, root) { return Array.prototype.slice.call((root || document).querySelectorAll(selector)); }
  function say(text, values) { return Object.keys(values || {}).reduce(function (out, name) { return out.replace("{" + name + "}", values[name]); }, text); }
  var token = (document.querySelector("meta[name=csrf-token]") || {}).content || "";
  var status = document.querySelector("[data-status]");
  function show(text, kind, link) {
    if (!status) return;
    status.hidden = false;
    status.className = "door-status " + (kind || "");
    status.textContent = text;
    if (link) {
      var way = document.createElement("a");
      way.href = link; way.textContent = words.link;
      status.append(" ", way);
    }
  }

  /* The walk-in form: it holds a name, so it is sent at once or not at all. */
  all("form[data-online-only]").forEach(function (form) {
    form.addEventListener("submit", function (event) {
      event.preventDefault();
      fetch(form.dataset.probe, { headers: { "HX-Request": "true" }, cache: "no-store", redirect: "manual" }).then(function () { form.submit(); }, function () { show(words.offline, "bad"); status.scrollIntoView({ block: "center" }); });
    });
  });

  /* The clicker */
  all("form[data-clicker]").forEach(function (form) {
    var box = form.querySelector(".clicker"), field = form.querySelector("[name=count]"), way = form.querySelector("[name=way]");
    var shown = box.querySelector("[data-clicks]"), name = "heads:" + form.dataset.clicker, count = 0;
    try { count = parseInt(localStorage.getItem(name), 10) || 0; } catch (error) { /* storage is off */ }
    function put() {
      shown.textContent = count.toLocaleString(document.documentElement.lang);
      if (count) { field.value = count; way.value = "clicker"; }
      try { localStorage.setItem(name, count); } catch (error) { /* storage is off */ }
    }
    box.hidden = false;
    if (count) put();
    box.addEventListener("click", function (event) {
      var button = event.target.closest("[data-click]");
      if (!button) return;
      var step = parseInt(button.dataset.click, 10);
      count = step ? Math.max(0, count + step) : 0;
      put();
      if (!count) field.value = "";
      if (navigator.vibrate) navigator.vibrate(10);
    });
    form.addEventListener("submit", function () { try { localStorage.removeItem(name); } catch (error) { /* storage is off */ } });
  });

  var door = document.getElementById("door");
  if (!door) return;

  /* What waits: read anew each time, for two tabs of one phone share it. */
  var place = "door:" + door.dataset.door, memory = [], isKept = true;
  function waiting() {
    if (!isKept) return memory;
    try { return JSON.parse(localStorage.getItem(place)) || []; } catch (error) { isKept = false; return memory; }
  }
  function keep(list) {
    memory = list;
    if (!isKept) return;
    try { if (list.length) localStorage.setItem(place, JSON.stringify(list)); else localStorage.removeItem(place); } catch (error) { isKept = false; }
  }
  function newKey() {
    var bytes = crypto.getRandomValues(new Uint8Array(16));
    return btoa(String.fromCharCode.apply(null, bytes)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  }

  /* A row of the list */
  function row(id) { return document.getElementById("a-" + id); }
  function nameOf(item) { return item.querySelector("[data-name]").textContent; }
  function paint(item, here) {
    item.querySelector("[data-in]").hidden = !!here;
    item.querySelector("[data-out]").hidden = !here;
    item.dataset.key = here ? here.key : "";
    if (here) {
      item.querySelector("[data-when]").textContent = say(words.here, { t: here.at });
      item.querySelector("[data-with]").textContent = here.guests > 1 ? say(words.guests, { n: here.guests }) : here.guests === 1 ? words.guest : "";
    }
  }
  function clockNow() { return new Date().toLocaleTimeString(document.documentElement.lang === "es" ? "es-US" : "en-US", { hour: "numeric", minute: "2-digit" }); }
  function apply(state) {
    var pending = {};
    waiting().forEach(function (one) { pending[one.rsvp] = true; });
    all("[data-rsvp]", door).forEach(function (item) { if (!pending[item.dataset.rsvp]) paint(item, state.here[item.dataset.rsvp]); });
    if (!waiting().length) door.querySelector("[data-count=here]").textContent = state.numbers.here.toLocaleString(document.documentElement.lang);
  }
  function count(step) {
    var box = door.querySelector("[data-count=here]");
    box.textContent = Math.max(0, (parseInt(box.textContent.replace(/\D/g, ""), 10) || 0) + step).toLocaleString(document.documentElement.lang);
  }
  function press(item, what, guests, way) {
    var one = { do: what, rsvp: item.dataset.rsvp, key: what === "out" ? item.dataset.key : newKey(), at: Date.now() };
    if (what === "in") { one.guests = guests; one.way = way || "list"; }
    keep(waiting().concat([one]));
    var was = parseInt((item.querySelector("[data-with]").textContent.match(/\d+/) || ["0"])[0], 10);
    paint(item, what === "in" ? { key: one.key, guests: guests, at: clockNow() } : null);
    count(what === "in" ? 1 + guests : -(1 + was));
    send();
  }
  function guestsOf(item) {
    var field = item.querySelector("[name=guests]"), given = parseInt(field.value, 10);
    return given >= 0 && given <= 50 ? given : parseInt(field.defaultValue, 10) || 0;
  }

  /* Sending */
  var isSending = false, timer = null, wait = 2000, wasUnsent = false;
  function later(after) { clearTimeout(timer); timer = setTimeout(send, after); }
  function unsent(more, kind, link) {
    var n = waiting().length;
    wasUnsent = true;
    show((n === 1 ? words.one : say(words.many, { n: n })) + " " + more + (isKept ? "" : " " + words.memory), kind || "warn", link);
  }
  function send() {
    clearTimeout(timer);
    var list = waiting();
    if (!list.length) { if (wasUnsent) { wasUnsent = false; show(words.saved, "good"); } return; }
    if (isSending) return;
    isSending = true;
    var sent = list.slice(0, 200);
    fetch(door.dataset.sync, {
      method: "POST", redirect: "manual", cache: "no-store",
      headers: { "Content-Type": "application/json", "X-CSRF-Token": token },
      body: JSON.stringify({ sent: Date.now(), pressed: sent })
    }).then(function (answer) {
      isSending = false;
      if (answer.ok) return answer.json().then(function (state) {
        var gone = {};
        sent.forEach(function (one) { gone[one.do + one.key] = true; });
        keep(waiting().filter(function (one) { return !gone[one.do + one.key]; }));
        wait = 2000;
        apply(state);
        var refused = sent.filter(function (one) { return state.done[one.key] === "refused"; }).length;
        if (refused) { wasUnsent = false; show(say(words.refused, { n: refused }), "bad"); }
        else if (waiting().length) send();
        else { wasUnsent = false; show(words.saved, "good"); }
      });
      if (answer.type === "opaqueredirect" || [400, 401, 403].indexOf(answer.status) >= 0) { unsent(words.login, "bad", door.dataset.again); later(60000); return; }
      unsent(words.again); wait = Math.min(wait * 2, 30000); later(wait);
    }).catch(function () {
      isSending = false;
      unsent(words.again); wait = Math.min(wait * 2, 30000); later(wait);
    });
  }
  window.addEventListener("online", function () { wait = 2000; send(); });
  window.addEventListener("offline", function () { if (waiting().length) unsent(words.again); });
  window.addEventListener("beforeunload", function (event) {
    if (waiting().length) { event.preventDefault(); event.returnValue = words.leave; }
  });

  /* What others at the door do shows here, too. A look by itself keeps nobody logged in. */
  function look() {
    if (document.hidden || !navigator.onLine || isSending) return;
    fetch(door.dataset.state, { headers: { "HX-Request": "true" }, cache: "no-store", redirect: "manual" }).then(function (answer) { if (answer.ok) return answer.json().then(apply); }).catch(function () { /* the next look */ });
  }
  setInterval(look, 10000);
  document.addEventListener("visibilitychange", look);

  door.addEventListener("submit", function (event) {
    var form = event.target, item = form.closest("[data-rsvp]");
    if (form.matches("[data-find-form]")) { event.preventDefault(); return; }
    if (!item) return;
    event.preventDefault();
    press(item, form.matches("[data-in]") ? "in" : "out", guestsOf(item));
    var next = item.querySelector(form.matches("[data-in]") ? "[data-out] button" : "[data-in] button[type=submit]");
    if (next) next.focus();
  });

  /* Guests, one by one */
  all("[data-step]", door).forEach(function (button) { button.hidden = false; });
  door.addEventListener("click", function (event) {
    var button = event.target.closest("[data-step]");
    if (!button) return;
    var field = button.parentElement.querySelector("input");
    field.value = Math.max(0, Math.min(50, (parseInt(field.value, 10) || 0) + parseInt(button.dataset.step, 10)));
  });

  /* Finding, in the page itself: it works without a connection */
  var find = door.querySelector("[data-find-in]"), nobody = door.querySelector("[data-nobody]");
  function plain(text) { return text.normalize("NFKD").replace(/[\u0300-\u036f'’]/g, "").toLowerCase(); }
  function filter() {
    var parts = plain(find.value).split(/[^\p{L}\p{N}]+/u).filter(Boolean), shown = 0;
    all("[data-rsvp]", door).forEach(function (item) {
      var fits = parts.every(function (part) { return item.dataset.find.indexOf(part) >= 0; });
      item.hidden = !fits;
      if (fits) shown += 1;
    });
    if (nobody) nobody.hidden = shown > 0;
  }
  all("[data-plain]", door).forEach(function (button) { button.hidden = true; });
  find.addEventListener("input", filter);
  if (find.value) filter();

  /* Scanning in the page, where the browser can */
  var scanner = door.querySelector("[data-scanner]"), opener = door.querySelector("[data-scan]");
  var video = scanner.querySelector("video"), told = scanner.querySelector("[data-scanned]"), stream = null, last = "";
  if ("BarcodeDetector" in window && navigator.mediaDevices) opener.hidden = false;
  function stop() {
    if (stream) stream.getTracks().forEach(function (track) { track.stop(); });
    stream = null; scanner.hidden = true;
  }
  function read(text) {
    if (text === last) return;
    last = text;
    setTimeout(function () { last = ""; }, 4000);
    var match = text.match(/\/organize\/checkin\/scan\/([\w-]+)/);
    var item = match && all("[data-code]", door).filter(function (one) { return one.dataset.code === match[1]; })[0];
    if (navigator.vibrate) navigator.vibrate(60);
    if (!item) {
      told.textContent = words.strange;
      if (match && navigator.onLine && !waiting().length) location.assign("/organize/checkin/scan/" + match[1] + "?at=" + door.dataset.door);
    } else if (item.dataset.key) told.textContent = say(words.already, { w: nameOf(item) + ", " + item.querySelector("[data-when]").textContent });
    else { press(item, "in", guestsOf(item), "qr"); told.textContent = say(words.done, { w: nameOf(item) + item.querySelector("[data-with]").textContent }); }
  }
  door.addEventListener("checkin:code", function (event) { read(event.detail); });
  opener.addEventListener("click", function () {
    navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } }).then(function (opened) {
      stream = opened; scanner.hidden = false; told.textContent = words.looking;
      video.srcObject = opened; video.play();
      var detector = new window.BarcodeDetector({ formats: ["qr_code"] });
      (function again() {
        if (!stream) return;
        detector.detect(video).then(function (codes) { codes.forEach(function (one) { read(one.rawValue); }); }).catch(function () { /* the next picture */ }).then(function () { setTimeout(again, 200); });
      })();
    }, function () { show(words.camera, "bad"); });
  });
  scanner.querySelector("[data-scan-stop]").addEventListener("click", stop);

  waiting().forEach(function (one) {
    var item = row(one.rsvp);
    if (item) paint(item, one.do === "in" ? { key: one.key, guests: one.guests, at: words.now } : null);
  });
  if (waiting().length) unsent(words.sending);
  send();
})();
