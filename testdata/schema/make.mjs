// Makes the schemas of this folder from the packages that SOURCE names:
//
//   node make.mjs FOLDER    (the node_modules that has the packages)
//
// Each vendor has a notation of its own for the same thing: which fields there
// are, of what type, and which must be there. It is rewritten as JSON Schema, so
// that one validator serves for all. Nothing is added, and what is left out,
// SOURCE says.
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { join, resolve } from "node:path";

const modules = resolve(process.argv[2]);
const load = (file) => import(pathToFileURL(join(modules, file)));
const text = (file) => readFileSync(join(modules, file), "utf8");

// collector gives a $ref for a name, and defines it once, with all it refers to.
function collector(define) {
  const definitions = {};
  const ref = (name, ...more) => {
    const key = [name, ...more].join(" ");
    if (!(key in definitions)) {
      definitions[key] = {}; // before it is defined: a definition may hold itself
      definitions[key] = define(name, ...more);
    }
    return { $ref: "#/definitions/" + encodeURIComponent(key) };
  };
  return { definitions, ref };
}

function write(file, title, root, definitions) {
  const sorted = Object.fromEntries(Object.entries(definitions).sort(([a], [b]) => (a < b ? -1 : 1)));
  const schema = { $schema: "http://json-schema.org/draft-07/schema#", title, ...root, definitions: sorted };
  writeFileSync(join(import.meta.dirname ?? ".", file), JSON.stringify(schema, null, 1) + "\n");
}

// closed is an object that has no fields but these.
function closed(properties, required) {
  return { type: "object", properties, ...(required.length ? { required } : {}), additionalProperties: false };
}

// Kubernetes: a map of types for each class at run time. Which fields are
// required stands in the declarations alone: those without a question mark.
async function kubernetes() {
  const folder = "@kubernetes/client-node/dist/gen/models/";
  const models = await load(folder + "all.js");
  const simple = {
    string: () => ({ type: "string" }),
    boolean: () => ({ type: "boolean" }),
    number: (format) => ({ type: format.startsWith("int") ? "integer" : "number" }),
    Date: () => ({ type: "string", format: "date-time" }),
    any: () => ({}),
    IntOrString: () => ({ type: ["integer", "string"] }),
  };
  const typeOf = (type, format) => {
    const list = /^Array<(.*)>$/.exec(type);
    const map = /^\{ \[key: string\]: (.*); \}$/.exec(type);
    if (list) return { type: "array", items: typeOf(list[1], format) };
    if (map) return { type: "object", additionalProperties: typeOf(map[1], format) };
    return simple[type]?.(format) ?? ref(type);
  };
  const { definitions, ref } = collector((name) => {
    const declared = text(folder + name + ".d.ts");
    const fields = models[name].attributeTypeMap;
    return closed(
      Object.fromEntries(fields.map((f) => [f.baseName, typeOf(f.type, f.format)])),
      fields.filter((f) => declared.includes(`\n    '${f.name}': `)).map((f) => f.baseName),
    );
  });
  write("kubernetes-cronjob.json", "Kubernetes batch/v1 CronJob", ref("V1CronJob"), definitions);
}

// Azure: a "mapper" for each class at run time. A serialized name with a dot is a
// path. Values that an enumeration knows stand beside the declarations.
async function azure() {
  const folder = "@azure/arm-appcontainers/dist/esm/models/";
  const mappers = Object.values(await load(folder + "mappers.js"));
  const models = await load(folder + "index.js");
  const declared = text(folder + "index.d.ts");
  const known = (className, field) => {
    const body = new RegExp(`export interface ${className} [^{]*\\{(.*?)\\n\\}`, "s").exec(declared)?.[1] ?? "";
    const type = new RegExp(`\\n    ${field}\\??: (\\w+)(\\[\\])?;`).exec(body)?.[1];
    const values = models["Known" + type];
    return values && { enum: Object.values(values) };
  };
  const typeOf = (t) => {
    switch (t.name) {
      case "Composite": return ref(t.className);
      case "Sequence": return { type: "array", items: typeOf(t.element.type) };
      case "Dictionary": return { type: "object", additionalProperties: typeOf(t.value.type) };
      case "Enum": return { enum: t.allowedValues };
      case "Number": return { type: "number" };
      case "Boolean": return { type: "boolean" };
      case "String": case "Uuid": return { type: "string" };
      case "DateTime": return { type: "string", format: "date-time" };
      case "any": return {};
      default: throw new Error("no translation of " + t.name);
    }
  };
  const words = { InclusiveMinimum: "minimum", InclusiveMaximum: "maximum", MinLength: "minLength", MaxLength: "maxLength" };
  const limits = (constraints) =>
    Object.fromEntries(Object.entries(constraints ?? {}).map(([k, v]) => {
      if (k === "Pattern") return ["pattern", v.source];
      if (!(k in words)) throw new Error("no translation of " + k);
      return [words[k], v];
    }));
  const { definitions, ref } = collector((className) => {
    const fields = mappers.find((m) => m.type.className === className).type.modelProperties;
    const top = closed({}, []);
    for (const [name, f] of Object.entries(fields)) {
      if (f.readOnly) continue; // what the service tells and nobody may set
      const path = f.serializedName.split(".");
      const last = path.pop();
      let at = top;
      for (const part of path) at = at.properties[part] ??= closed({}, []);
      at.properties[last] = { ...typeOf(f.type), ...(f.type.name === "String" ? known(className, name) : {}), ...limits(f.constraints) };
      if (f.required) (at.required ??= []).push(last);
    }
    return top;
  });
  write("azure-containerapp-job.json", "Azure Microsoft.App/jobs", ref("Job"), definitions);
}

// GitHub: a schema in a notation of GitHub's own, made for documents in which an
// expression may stand for a value. A definition with a "context" allows that, and
// hands it down to all within.
function github() {
  const schema = JSON.parse(text("@actions/workflow-parser/dist/workflow-v1.0.min.json")).definitions;
  const builtIn = {
    any: {}, null: { null: {} }, boolean: { boolean: {} }, number: { number: {} }, string: { string: {} },
    sequence: { sequence: { "item-type": "any" } }, mapping: { mapping: { "loose-key-type": "string", "loose-value-type": "any" } },
  };
  const string = (d) => {
    if (d.constant !== undefined) return { const: d.constant };
    // A number, a truth and nothing at all are read as text where text is wanted.
    if (d["require-non-empty"]) return { type: ["string", "number", "boolean"], minLength: 1 };
    return { type: ["string", "number", "boolean", "null"] };
  };
  const mapping = (d, ...context) => {
    const fields = Object.entries(d.properties ?? {});
    const named = Object.fromEntries(fields.map(([k, v]) => [k, ref(v.type ?? v, ...context)]));
    const out = closed(named, fields.filter(([, v]) => v.required).map(([k]) => k));
    if (d["loose-value-type"]) out.additionalProperties = ref(d["loose-value-type"], ...context);
    if (d["loose-key-type"] && !fields.length) out.propertyNames = ref(d["loose-key-type"]);
    return out;
  };
  const body = (d, ...context) => {
    if (d["one-of"]) return { anyOf: d["one-of"].map((name) => ref(name, ...context)) };
    if (d["allowed-values"]) return { enum: d["allowed-values"] };
    if (d.mapping) return mapping(d.mapping, ...context);
    if (d.sequence) return { type: "array", items: ref(d.sequence["item-type"], ...context) };
    if (d.string) return string(d.string);
    for (const type of ["null", "boolean", "number"]) if (d[type]) return { type };
    return {};
  };
  const { definitions, ref: define } = collector((name, ...context) => {
    const inner = body(schema[name] ?? builtIn[name], ...context);
    return context.length ? { anyOf: [inner, { type: "string", pattern: "\\$\\{\\{" }] } : inner;
  });
  function ref(name, ...context) {
    const d = schema[name] ?? builtIn[name];
    if (!d) throw new Error("no definition of " + name);
    return d.context ? define(name, "with expressions") : define(name, ...context);
  }
  write("github-workflow.json", "GitHub Actions workflow", ref("workflow-root-strict"), definitions);
}

await kubernetes();
await azure();
github();
