// Checks JSON documents against a JSON schema: the schema's path is the argument, the documents are a list on standard
// input, and standard output is a list of their lists of faults.
const { readFileSync } = require("node:fs");

const schema = JSON.parse(readFileSync(process.argv[2], "utf8"));
const isOld = String(schema.$schema).includes("draft-04");
const Ajv = require(isOld ? "ajv-draft-04" : "ajv").default;
// Not strict about the schema itself: Slack's has words of its own.
const ajv = new Ajv({ allErrors: true, strict: false });
require("ajv-formats").default(ajv);
const validate = ajv.compile(schema);

const faults = JSON.parse(readFileSync(0, "utf8")).map((document) =>
    validate(document) ? [] : validate.errors.map((e) => `${e.instancePath} ${e.message} ${JSON.stringify(e.params)}`),
);
process.stdout.write(JSON.stringify(faults));
