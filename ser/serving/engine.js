"use strict";
/* What the page asks a server otherwise, answered in the browser by onnxruntime-web: window.engine. */
window.engine = (() => {
  const LONG_S = 30, WINDOW_S = 4, BATCH = 16;  // as ser.inference.windows has them
  const facts = JSON.parse(document.getElementById("facts").textContent);
  const asked = facts.numeric ? ["values", "logits"] : ["probabilities", "logits"];
  const loaded = load();

  async function load() {
    const folder = new URL("onnxruntime/", document.baseURI).href, ort = await import(`${folder}ort.wasm.min.mjs`);
    ort.env.wasm.wasmPaths = folder;
    ort.env.wasm.numThreads = 1;  // more need headers that plain file servers do not send
    return {ort, session: await ort.InferenceSession.create("model.onnx")};
  }

  /* Mono at the rate of the model. */
  async function decoded(content) {
    const context = new OfflineAudioContext(1, 1, facts.sample_rate);
    let audio;
    try {
      audio = await context.decodeAudioData(await content.arrayBuffer());
    } catch {
      throw new Error("It cannot be decoded: this browser does not know the format, or the file is damaged.");
    }
    const samples = new Float32Array(audio.length);
    for (let channel = 0; channel < audio.numberOfChannels; channel++) {
      audio.getChannelData(channel).forEach((value, i) => { samples[i] += value / audio.numberOfChannels; });
    }
    if (samples.length < facts.min_ms / 1000 * facts.sample_rate) throw new Error(`It must have at least ${facts.min_ms} ms of sound.`);
    if (!samples.some(value => value)) throw new Error("It is silent.");
    return samples;
  }

  /* A part of a recording as ser.audio.decode.standardise makes it: without silence at its ends, in steps of 16 bits. */
  function standardised(samples) {
    const [frame, hop, margin] = [25, 10, 50].map(ms => Math.round(ms * facts.sample_rate / 1000));
    let [first, last] = [0, samples.length];
    if (facts.trim_db !== null && samples.length > frame) {
      const energy = new Float64Array(samples.length + 1), powers = [];
      samples.forEach((value, i) => { energy[i + 1] = energy[i] + value ** 2; });
      for (let at = 0; at + frame <= samples.length; at += hop) powers.push(energy[at + frame] - energy[at]);
      const least = powers.reduce((a, b) => Math.max(a, b)) * 10 ** (-facts.trim_db / 10), loud = power => power >= least;
      first = Math.max(0, hop * powers.findIndex(loud) - margin);
      last = hop * powers.findLastIndex(loud) + frame + margin;
    }
    return samples.slice(first, last).map(value => Math.max(-32768, Math.min(32767, Math.round(32768 * value))) / 32768);
  }

  /* The answers of parts of a recording: [first sample, the one after the last]; those of silence are left out. */
  async function score(samples, parts) {
    const {ort, session} = await loaded, found = [];
    const sounding = parts.map(part => ({part, heard: standardised(samples.subarray(...part))})).filter(({heard}) => heard.some(value => value));
    for (let at = 0; at < sounding.length; at += BATCH) {
      const batch = sounding.slice(at, at + BATCH), most = Math.max(...batch.map(({heard}) => heard.length));
      const waveform = new Float32Array(batch.length * most), lengths = BigInt64Array.from(batch, ({heard}) => BigInt(heard.length));
      batch.forEach(({heard}, row) => waveform.set(heard, row * most));
      const made = await session.run({
        waveform: new ort.Tensor("float32", waveform, [batch.length, most]),
        lengths: new ort.Tensor("int64", lengths, [batch.length]),
      }, asked);
      const size = facts.classes.length, rows = name => batch.map((_, row) => Array.from(made[name].data.slice(row * size, (row + 1) * size)));
      const values = rows(asked[0]), logits = rows("logits");
      batch.forEach(({part, heard}, row) => found.push({part, weight: heard.length, values: values[row], raw: softmax(logits[row])}));
    }
    return found;
  }

  function softmax(logits) {
    const most = Math.max(...logits), exps = logits.map(value => Math.exp(value - most)), sum = exps.reduce((a, b) => a + b);
    return exps.map(value => value / sum);
  }

  const mean = (found, key) => {
    const weight = found.reduce((sum, one) => sum + one.weight, 0);
    return facts.classes.map((_, i) => found.reduce((sum, one) => sum + one.weight * one[key][i], 0) / weight);
  };

  function answer(values) {
    const named = Object.fromEntries(facts.classes.map((name, i) => [name, values[i]]));
    if (facts.numeric) return {numbers: named};
    return {label: facts.classes[values.indexOf(Math.max(...values))], probabilities: named};
  }

  /* Short recordings whole, long ones in equal windows, as model.predict has them. */
  async function predict(samples) {
    const seconds = samples.length / facts.sample_rate, count = seconds <= LONG_S ? 1 : Math.ceil(seconds / WINDOW_S);
    const edge = i => Math.round(i * samples.length / count);
    const found = await score(samples, Array.from({length: count}, (_, i) => [edge(i), edge(i + 1)]));
    const given = {...answer(mean(found, "values")), seconds};
    if (facts.threshold !== null && !facts.numeric) {
      const raw = mean(found, "raw");
      given.set = facts.classes.filter((_, i) => 1 - raw[i] <= facts.threshold);
    }
    return given;
  }

  /* As model.segments has them: the last window ends with the recording. */
  async function segments(samples, window = 3, hop = 0.5) {
    const rate = facts.sample_rate, seconds = samples.length / rate;
    const starts = Array.from({length: Math.floor(Math.max(0, seconds - window) / hop + 1e-9) + 1}, (_, i) => i * hop);
    if (starts.at(-1) + window < seconds - 1e-9) starts.push(seconds - window);
    const parts = starts.map(start => [Math.round(start * rate), Math.round(Math.min(start + window, seconds) * rate)]);
    const found = await score(samples, parts);
    return {seconds, segments: found.map(({part, values}) => ({start: part[0] / rate, end: part[1] / rate, ...answer(values)}))};
  }

  async function ask(path, options) {
    await loaded;
    if (path.startsWith("/v1/models")) return [facts];
    const samples = await decoded(options.body);
    return path.startsWith("/v1/predict") ? predict(samples) : segments(samples);
  }

  return {ask, live: false};
})();
