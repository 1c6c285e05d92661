// Does in Chromium what people do in Adminer and phpMyAdmin: logs in, looks at the
// databases, at a table's structure and rows, runs a statement, changes a row, and is
// told what is wrong with a statement.
//
//   node webadmin.js TOOL HOST PORT PROJECT
"use strict";
const assert = require("node:assert");
const { spawn } = require("node:child_process");
const fs = require("node:fs");
const net = require("node:net");
const os = require("node:os");
const path = require("node:path");
const { chromium } = require("playwright-core");
const mysql = require("mysql2/promise");

const [tool, host, port, database] = process.argv.slice(2);
const address = `${host}:${port}`, user = `admin_${database}`, password = "to be or not";

// prepare makes what is looked at, and who looks.
async function prepare() {
  const db = await mysql.createConnection({ host, port: Number(port), user: "root", database });
  for (const statement of [
    "INSERT INTO events (event, time, distinct_id, insert_id) VALUES ('buy', '2026-01-01 10:00:00', 'ann', '1'), ('buy', '2026-01-01 10:00:00', 'ann', '1'), ('look', '2026-01-02', 'bob', '2')",
    "CREATE TABLE plans (who VARCHAR(40) PRIMARY KEY, plan VARCHAR(20), since DATETIME)",
    "INSERT INTO plans VALUES ('ann', 'pro', '2026-01-01'), ('bob', 'free', NULL)",
    `CREATE USER ${user} IDENTIFIED BY '${password}'`,
    `GRANT ALL ON ${database}.* TO ${user}`,
  ]) await db.query(statement);
  return db;
}

// see fails where what is seen is something else.
const see = (what, text, want) => assert.strictEqual(text.replace(/\s+/g, " ").trim(), want, what);

const tools = {
  adminer: {
    root: () => "/usr/share/adminer",
    version: (page) => page.locator(".version").first().innerText(),
    async use(page, home) {
      const at = (query) => page.goto(`${home}adminer/?server=${encodeURIComponent(address)}&username=${user}${query}`);
      await page.goto(`${home}adminer/`);
      await page.selectOption('select[name="auth[driver]"]', "server");
      await page.fill('input[name="auth[server]"]', address);
      await page.fill('input[name="auth[username]"]', user);
      await page.fill('input[name="auth[password]"]', password);
      await page.click('input[value="Login"]');
      await page.waitForSelector("#content table");
      see("databases", (await page.locator("#content tbody th").allInnerTexts()).sort().join(" "), [database, "information_schema"].sort().join(" "));
      await at(`&db=${database}`);
      see("tables", (await page.locator("#content tbody th").allInnerTexts()).sort().join(" "), "3 in total events events_all plans");
      await at(`&db=${database}&table=plans`);
      see("structure", (await page.locator("#content table").allInnerTexts()).join(" | "), "Column Type Comment who varchar(40) plan varchar(20) NULL since datetime NULL | PRIMARY who");
      await at(`&db=${database}&select=events&order%5B0%5D=time&columns%5B0%5D%5Bcol%5D=event&columns%5B1%5D%5Bcol%5D=distinct_id`);
      see("rows", await page.locator("#table tbody").innerText(), "edit buy ann edit look bob");
      const ask = async (statement) => {
        await at(`&db=${database}&sql=${encodeURIComponent(statement)}`);
        await page.click('#form input[type="submit"]');
        await page.waitForSelector("#content .time, #content .error");
      };
      await ask("SELECT event, COUNT(*) AS n FROM events GROUP BY event ORDER BY event");
      see("answer", await page.locator("#content table").first().innerText(), "event n buy 1 look 1");
      await at(`&db=${database}&edit=plans&where%5Bwho%5D=ann`);
      await page.fill('[name="fields[plan]"]', "team");
      await page.click('input[value="Save"]');
      see("saved", (await page.locator(".message").first().innerText()).split(".")[0], "Item has been updated");
      await ask("SELECT nothing FROM events");
      see("error", await page.locator(".error").first().innerText(), "Error in query (1054): Unknown column 'nothing'");
    },
  },
  phpmyadmin: {
    // A copy with a configuration of its own: the one of the machine is left alone.
    root(scratch) {
      const copy = path.join(scratch, "phpmyadmin");
      fs.cpSync("/usr/share/phpmyadmin", copy, { recursive: true, dereference: true, filter: (name) => !name.includes("/doc/") });
      const temp = path.join(scratch, "temp");
      fs.mkdirSync(temp);
      const config = path.join(scratch, "config.inc.php");
      fs.writeFileSync(config, `<?php
        $cfg['blowfish_secret'] = '0123456789abcdef0123456789abcdef';
        $cfg['Servers'][1] = ['host' => '${host}', 'port' => '${port}', 'auth_type' => 'cookie', 'AllowNoPassword' => true];
        $cfg['VersionCheck'] = false;
        $cfg['CodemirrorEnable'] = false;
        $cfg['SendErrorReports'] = 'never';`);
      const settings = path.join(copy, "libraries/vendor_config.php");
      fs.writeFileSync(settings, fs.readFileSync(settings, "utf8").replace("/var/lib/phpmyadmin/tmp/", temp + "/").replace("/etc/phpmyadmin/config.inc.php", config));
      return copy;
    },
    version: () => fs.readFileSync("/usr/share/phpmyadmin/libraries/classes/Version.php", "utf8").match(/VERSION = '([^']*)'/)[1],
    async use(page, home) {
      const at = (route) => page.goto(`${home}index.php?route=${route}`);
      await page.goto(home);
      await page.fill("#input_username", user);
      await page.fill("#input_password", password);
      await page.click("#input_go");
      await page.waitForSelector("#pma_navigation_tree");
      await at("/server/databases");
      see("databases", (await page.locator("tr.db-row td.name a").allInnerTexts()).map((t) => t.trim()).sort().join(" "), [database, "information_schema"].sort().join(" "));
      await at(`/database/structure&db=${database}`);
      see("tables", (await page.locator("#tablesForm tbody tr th a").allInnerTexts()).map((t) => t.trim()).filter(Boolean).sort().join(" "), "events events_all plans");
      await at(`/table/structure&db=${database}&table=plans`);
      see("structure", (await page.locator("#tablestructure tbody th").allInnerTexts()).join(" "), "who plan since");
      await at(`/sql&db=${database}&table=plans&pos=0`);
      see("rows", (await page.locator(".table_results tbody tr td.data").allInnerTexts()).join(" "), "ann pro 2026-01-01 00:00:00 bob free NULL");
      const ask = async (statement, shown) => {
        await at(`/database/sql&db=${database}`);
        await page.fill("#sqlquery", statement);
        await page.click("#button_submit_query");
        await page.waitForSelector(shown);
      };
      await ask("SELECT event, COUNT(*) AS n FROM events GROUP BY event ORDER BY event", ".table_results tbody tr");
      see("answer", (await page.locator(".table_results tbody tr td.data").allInnerTexts()).join(" "), "buy 1 look 1");
      await at(`/sql&db=${database}&table=plans&pos=0`);
      await page.locator(".table_results tbody tr", { hasText: "ann" }).locator(".edit_row_anchor a").first().click();
      await page.waitForSelector("#insertForm");
      await page.locator('#insertForm tr', { hasText: "plan" }).locator("textarea, input.textfield").first().fill("team");
      await page.click("#buttonYes");
      await page.waitForSelector(".alert-success");
      see("saved", (await page.locator(".alert-success").first().innerText()).split("\n")[0], "1 row affected.");
      await ask("SELECT nothing FROM events", ".alert-danger, .error");
      see("error", (await page.locator(".alert-danger, .error").first().innerText()).match(/#\d+ - .*/)[0], "#1054 - Unknown column 'nothing'");
    },
  },
};

async function main() {
  const { root, version, use } = tools[tool];
  const db = await prepare();
  const free = await new Promise((resolve) => {
    const s = net.createServer().listen(0, "127.0.0.1", () => { const { port } = s.address(); s.close(() => resolve(port)); });
  });
  const home = `http://127.0.0.1:${free}/`;
  const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "webadmin-"));
  const php = spawn("php", ["-d", `session.save_path=${scratch}`, "-d", "display_errors=0", "-S", `127.0.0.1:${free}`, "-t", root(scratch)], { stdio: "ignore" });
  let browser;
  try {
    browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu", "--no-proxy-server"] });
    const page = await browser.newPage();
    page.setDefaultTimeout(120_000); // to fail, on a machine that is busy
    for (let tries = 0; ; tries++) { // until PHP listens
      try {
        await page.goto(home);
        break;
      } catch (e) {
        if (tries === 600) throw e;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
    try {
      await use(page, home);
    } catch (e) {
      console.error((await page.locator("body").innerText()).slice(0, 4000));
      throw e;
    } finally {
      if (process.env.SCREENSHOT) await page.screenshot({ path: process.env.SCREENSHOT, fullPage: true });
    }
    const [[{ plan }]] = await db.query("SELECT plan FROM plans WHERE who = 'ann'");
    assert.strictEqual(plan, "team");
    console.log(await version(page));
  } finally {
    if (browser) await browser.close();
    php.kill();
    await db.end();
    fs.rmSync(scratch, { recursive: true, force: true });
  }
}

main().catch((e) => {
  console.error(e);
  process.exitCode = 1;
});
