// The events that every SDK sends, and how the scripts are run.
"use strict";
const events = () => Array.from({ length: 25 }, (_, i) => ({
  name: "buy",
  user: `user ${i % 7}`,
  time: new Date(Date.UTC(2026, 0, 2, 3, 4, 5 + i, 678)),
  properties: { n: i, price: 17.25, text: "~~~>>>???éü😀", nested: { list: [1, { a: null }] }, yes: true },
}));
const run = (main) =>
  main(...process.argv.slice(2)).then((result) => console.log(JSON.stringify(result)), (e) => {
    console.error(e);
    process.exit(1);
  });
module.exports = { events, run };
