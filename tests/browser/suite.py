"""What operators see, in a real browser: all faults of all pages are told at the end."""

import http.server
import json
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

WIDTHS = (375, 768, 1440)
SCHEMES = ("light", "dark")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PATIENCE = 30
PICTURES = Path("docs")
# A name of somebody else's that leads here.
REBOUND = "--host-resolver-rules=MAP rebound.example 127.0.0.1"


class Failed(Exception):
    pass


def expect(holds, what):
    if not holds:
        raise Failed(what)


def wait(look, what):
    """Waits until `look` gives something."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.1)
    raise Failed(f"not within {PATIENCE} s: {what}")


class Demo:
    """`sts-relay demo --page`."""

    def __init__(self, program):
        self.child = subprocess.Popen([program, "demo", "--page"], stdout=subprocess.PIPE, text=True)
        for line in self.child.stdout:
            found = re.search(r"http://\S+", line)
            if found:
                self.link = found.group(0)
                self.base = self.link.split("/login")[0]
                return
        raise Failed("the demo printed no link")

    def end(self):
        self.child.terminate()
        self.child.wait()


ATTACKS = {
    "/read": """<script>fetch("BASE/queue", {credentials: "include"}).then(
        () => document.title = "read", () => document.title = "refused")</script>""",
    "/frame": """<iframe src="BASE/queue" width="900" height="700"></iframe>""",
    "/act": """<form method="post" action="BASE/exceptions/grant"><input name="domain" value="good.test">
        <input name="again" value="good.test"><input name="what" value="mta-sts"><input name="hours" value="24">
        <input name="reason" value="none"></form><script>document.forms[0].submit()</script>""",
}


class AttackPages(http.server.BaseHTTPRequestHandler):
    """Pages at another port of the same host: another origin, and the same site."""

    base = ""

    def do_GET(self):
        page = ATTACKS.get(self.path, "").replace("BASE", self.base).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_):
        pass


def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", REBOUND):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))


class Suite:
    def __init__(self, demo, axe, pictures):
        self.demo, self.axe, self.pictures = demo, axe, pictures
        self.driver = browser()
        self.checked, self.faults = 0, []

    def note(self, holds, fault):
        """A fault of a page, which does not keep the others from being looked at."""
        if not holds:
            self.faults.append(fault)

    # Looking

    def as_seen(self, width, scheme):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def at_work(self):
        """A window of ordinary size, in which things can be clicked."""
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        self.driver.set_window_size(1440, 1000)

    def open(self, path):
        self.driver.get(self.demo.base + path)

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self):
        """What the page says; one that is being left says nothing."""

        def look():
            try:
                return [self.find("body").text]
            except WebDriverException:
                return None

        return wait(look, "a page")[0]

    def says(self, text, what):
        wait(lambda: text in self.text(), what)

    def check(self, path, name):
        """A page at every width, in light and dark."""
        for scheme in SCHEMES:
            for width in WIDTHS:
                where = f"{path} at {width}, {scheme}"
                self.as_seen(width, scheme)
                self.open(path)
                self.look(where)
                if self.pictures and scheme == "light" and width == 1440 and name:
                    self.picture(name)

    def look(self, where):
        """The page that is there."""
        script = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        wide, room = self.driver.execute_script(script)
        self.note(wide <= room, f"{where}: scrolls sideways, {wide} > {room}")
        self.driver.execute_script(self.axe)
        found = self.driver.execute_async_script(
            "axe.run(document, {runOnly: arguments[0]}).then(arguments[arguments.length - 1])", RULES
        )
        faults = [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found["violations"]]
        self.note(not faults, f"{where}: axe finds\n  " + "\n  ".join(faults))
        messages = [one["message"] for one in self.driver.get_log("browser")]
        self.note(not messages, f"{where}: the console says {messages}")
        self.nothing_foreign(where)
        self.checked += 1

    def nothing_foreign(self, where):
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                url = message["params"]["request"]["url"]
                own = url.startswith(self.demo.base) or url.startswith(("data:", "about:", "chrome"))
                self.note(own, f"{where}: asks {url}")

    def picture(self, name):
        height = self.driver.execute_script("return document.documentElement.scrollHeight")
        metrics = {"width": 1440, "height": min(height, 2000), "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        (PICTURES / f"page-{name}.png").write_bytes(self.driver.get_screenshot_as_png())

    # The job, by different hands

    def job(self, domain, hand):
        """Finds a held domain, reads why, grants an exception, sees its mail go, ends the exception."""
        self.at_work()
        self.open("/")
        self.says(f"{domain}: its mail is held", f"{domain} is not told of on the first page")
        hand.follow(f"/domains/{domain}")
        self.says("certificate", f"{domain}: the reason is not told")
        hand.follow(f"/exceptions?domain={domain}")
        hand.fill("domain", domain)
        hand.fill("again", domain)
        hand.fill("reason", "ticket 4711")
        hand.press("Grant")
        self.says(f"The exception for {domain} counts", f"{domain}: not granted")
        self.open(f"/domains/{domain}")
        hand.press("Retry now")
        self.says("Retry 1 message?", f"{domain}: the change is not named")
        hand.press("Retry")
        wait(lambda: self.gone(domain), f"mail for {domain} leaves")
        self.open("/exceptions")
        hand.press(f"End now: the exception for {domain}")
        self.says(f"The exception for {domain} has ended", f"{domain}: not ended")
        self.open("/activity")
        acts = self.text()
        expect("exception-add" in acts and "exception-remove" in acts and domain in acts, "acts are not listed")

    def attacked(self):
        """Others' pages can neither read, frame nor act, with somebody logged in."""
        AttackPages.base = self.demo.base
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), AttackPages)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        attacker = f"http://127.0.0.1:{server.server_port}"
        self.at_work()
        self.driver.get(attacker + "/read")
        wait(lambda: self.driver.title in ("read", "refused"), "the attack page reads")
        expect(self.driver.title == "refused", "another port of the host reads the page")
        self.driver.get(attacker + "/frame")
        self.driver.switch_to.frame(self.find("iframe"))
        expect("Messages" not in self.text(), "another port of the host frames the page")
        self.driver.switch_to.default_content()
        self.driver.get(attacker + "/act")
        self.says("That did not come from this page", "another port of the host acts")
        self.driver.get(self.demo.base.replace("127.0.0.1", "rebound.example") + "/queue")
        self.says("This relay does not answer to that name", "another name shows the page")
        server.shutdown()
        self.open("/exceptions")
        self.says("No exception is in force.", "an attack granted an exception")
        # What the browser says of the attacks is meant for the attacker.
        self.driver.get_log("browser")
        self.driver.get_log("performance")

    def gone(self, domain):
        self.open(f"/queue?domain={domain}")
        return "No message meets this." in self.text()

    def all(self):
        self.check(self.demo.link.removeprefix(self.demo.base), None)
        self.find("button.main").click()
        wait(lambda: "held" in self.reloaded("/"), "the ledger tells of held mail")
        self.open("/queue")
        message = self.find("input[name=id]").get_attribute("value")
        wait(lambda: "Not found" not in self.reloaded(f"/records/{message}"), "the record is kept")
        for path, name in (
            ("/", "status"),
            ("/?span=7d", None),
            ("/domains", None),
            ("/domains/expired.test", "domain"),
            ("/domains/good.test", None),
            ("/queue", "queue"),
            ("/queue?domain=nobody.test", None),
            (f"/queue/{message}", None),
            ("/records", "records"),
            (f"/records/{message}", "record"),
            ("/exceptions", None),
            ("/activity", None),
        ):
            self.check(path, name)
        self.at_work()
        self.open("/queue")
        self.find("input[name=scope][value=all]").click()
        self.find("button[value=delete]").click()
        self.look("the page that names what would be deleted")
        self.attacked()
        self.job("expired.test", Mouse(self.driver))
        self.job("wrong-name.test", Keyboard(self.driver))
        self.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
        self.job("self-signed.test", Mouse(self.driver))
        self.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
        self.open("/activity")
        self.look("/activity after the work")
        self.find(".who button").click()
        self.open("/queue")
        expect("/login" in self.driver.current_url, "logged out, and still let in")

    def reloaded(self, path):
        self.open(path)
        return self.text()


class Mouse:
    def __init__(self, driver):
        self.driver = driver

    def follow(self, target):
        self.driver.find_element(By.CSS_SELECTOR, f"main a[href='{target}']").click()

    def fill(self, name, value):
        field = self.driver.find_element(By.CSS_SELECTOR, f"main [name={name}]:not([type=hidden])")
        field.clear()
        field.send_keys(value)

    def press(self, name):
        for button in self.driver.find_elements(By.CSS_SELECTOR, "main button"):
            if name in (button.text, button.get_attribute("aria-label")):
                button.click()
                return
        raise Failed(f"there is no button {name}")


class Keyboard:
    """Nothing but keys: what cannot be reached by Tab is not there."""

    def __init__(self, driver):
        self.driver = driver

    def reach(self, is_it, what):
        for _ in range(200):
            self.driver.switch_to.active_element.send_keys(Keys.TAB)
            active = self.driver.switch_to.active_element
            if is_it(active):
                return active
        raise Failed(f"not to be reached by Tab: {what}")

    def follow(self, target):
        is_it = lambda one: (one.get_attribute("href") or "").endswith(target)
        self.reach(is_it, target).send_keys(Keys.ENTER)

    def fill(self, name, value):
        field = self.reach(lambda one: one.get_attribute("name") == name, name)
        field.send_keys(Keys.CONTROL + "a")
        field.send_keys(value)

    def press(self, name):
        is_it = lambda one: one.tag_name == "button" and name in (one.text, one.get_attribute("aria-label"))
        self.reach(is_it, name).send_keys(Keys.ENTER)


def main():
    program, axe, *rest = sys.argv[1:]
    demo = Demo(program)
    try:
        suite = Suite(demo, Path(axe).read_text(encoding="utf-8"), "--pictures" in rest)
        try:
            suite.all()
            expect(not suite.faults, f"{len(suite.faults)} faults")
        finally:
            if suite.faults:
                print("\n".join(suite.faults), file=sys.stderr)
            suite.driver.quit()
    except Failed as failed:
        sys.exit(f"browser: {failed}")
    finally:
        demo.end()
    print(f"browser: {suite.checked} views without a fault; the job was done by mouse, by keyboard and without scripts")


main()
