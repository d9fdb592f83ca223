#!/usr/bin/env python3
"""web_admin.py: opens every page of the web admin of a `tepui dev` in headless Chromium and looks at what is really drawn.

Wants TEPUI_BIN and Chromium. Pictures go to $TEPUI_RESULTS/web-admin-*.png where that is set. Ends with 0 or 1.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from browser import Browser, PageError  # noqa: E402
from cluster import Dev, NotReady  # noqa: E402
from free_port import free_ranges  # noqa: E402
from scheduler import Scheduler  # noqa: E402

TASK = "web-admin-check"
COMMAND = "echo first words; echo a warning >&2; while [ ! -e end ]; do sleep 0.1; done; echo last words"
MAILBOXES = ("master", "allocator")
HOSTILE = "<img src=x onerror=\"document.title='taken'\"><b>hoarder</b>"
# Texts whose contrast with what lies behind them is below 4.5, which WCAG's AA asks of small letters.
PALE = """(() => {
  const drawn = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => { drawn.clearRect(0, 0, 1, 1); drawn.fillStyle = colour; drawn.fillRect(0, 0, 1, 1); return [...drawn.getImageData(0, 0, 1, 1).data]; };
  const linear = (part) => (part / 255 <= 0.03928 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4);
  const light = ([red, green, blue]) => 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
  const ground = (element) => { const colour = rgba(getComputedStyle(element).backgroundColor); return colour[3] > 250 || !element.parentElement ? colour : ground(element.parentElement); };
  const speaks = (element) => element.getClientRects().length && [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  const contrast = (element) => { const both = [light(rgba(getComputedStyle(element).color)), light(ground(element))]; return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05); };
  return [...document.querySelectorAll("body *")].filter((element) => speaks(element) && contrast(element) < 4.5).map((element) => element.textContent.slice(0, 40));
})()"""
WHY_TOLD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "why_told.json")

passed = failed = 0


def check(name, look):
    """Counts and prints one check; `look` returns normally, or raises."""
    global passed, failed
    try:
        look()
    except (PageError, AssertionError, OSError, KeyError, IndexError, ValueError) as error:
        failed += 1
        print(f"FAIL {name} -- {error}", flush=True)
    else:
        passed += 1
        print(f"PASS {name}", flush=True)


def says(words):
    """An expression: the page shows these words (headings may be shown in other cases)."""
    return f"document.body.innerText.includes({json.dumps(words)})"


def picture(page, name):
    folder = os.environ.get("TEPUI_RESULTS")
    if folder and os.path.isdir(folder):
        page.screenshot(os.path.join(folder, f"web-admin-{name}.png"))


def sentences(lines):
    """Of what `tepui why` prints, line by line: what is said, without the agent it is said of."""
    told = [line.strip() for line in lines if line.strip() and not line.startswith("under role")]
    return [line.partition(": ")[2] if "): " in line else line for line in told]


class Checks:
    def __init__(self, dev, page):
        self.dev, self.page, self.base, self.task = dev, page, f"http://{dev.address}/", None

    def overview(self):
        hostname = self.dev.get("/slaves")["slaves"][0]["hostname"]
        self.page.open(self.base)
        self.page.wait(says("live"))
        self.page.wait(f"[...document.querySelectorAll('td')].some((cell) => cell.innerText.startsWith({json.dumps(hostname)}))")
        self.page.wait("document.querySelector('.chart canvas')?.width > 100")
        self.page.wait("document.querySelectorAll('.resources .bar').length === 3")
        picture(self.page, "overview")

    def without_root(self):
        """An agent of an ordinary user's."""
        says_so = "[...document.querySelectorAll('tr')].filter((row) => row.innerText.includes('process groups and rlimits only')).length"
        self.page.open(self.base)
        self.page.wait(says("live"))
        if os.geteuid() != 0:
            self.page.wait(f"{says_so} === 2")
            picture(self.page, "without-root")
            return
        folder = tempfile.mkdtemp(prefix="tepui-acceptance.")
        shutil.chown(folder, "nobody")
        # Where they were built may be closed to others.
        for program in ("tepui", "tepui-shim"):
            shutil.copy(os.path.join(os.path.dirname(self.dev.bin), program), folder)
        words = [os.path.join(folder, "tepui"), "agent", "--work-dir", os.path.join(folder, "agent"), "--master", self.dev.address, "--port", str(free_ranges(1, 1)[0]), "--resources", "cpus:1;mem:64"]
        agent = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user="nobody", cwd="/")
        try:
            self.page.wait(f"{says_so} === 1")
            picture(self.page, "without-root")
        finally:
            agent.terminate()
            agent.wait(10)
            shutil.rmtree(folder, ignore_errors=True)

    def frameworks_by_user_and_role(self):
        cells = "[...document.querySelectorAll('tr')].map((row) => [...row.cells].map((cell) => cell.innerText.trim()))"
        self.page.wait(f"{cells}.some((row) => row.includes('*'))")
        user = self.dev.get("/frameworks")["frameworks"][0]["user"]
        self.page.wait(f"{cells}.some((row) => row.includes({json.dumps(user)}) && row.includes('*'))")

    def task_appears(self):
        self.page.wait(f"[...document.querySelectorAll('tr')].some((row) => row.innerText.includes({json.dumps(TASK)}) && row.innerText.includes('running'))")
        found = [task for task in self.dev.get("/tasks")["tasks"] if TASK in (task["name"], task["id"])]
        self.task = found[0]
        self.page.value(f"[...document.querySelectorAll('td a')].find((link) => link.innerText.includes({json.dumps(TASK)})).click()")
        self.page.wait("location.hash.startsWith('#/task/')")

    def task_life(self):
        self.page.wait("[...document.querySelectorAll('.life li')].some((step) => step.innerText.includes('running'))")
        times = self.page.value("[...document.querySelectorAll('.life time')].map((time) => time.innerText)")
        assert all(time.count(":") == 2 and len(time.partition(".")[2]) == 3 for time in times), f"no milliseconds: {times}"
        said = [status["state"] for status in self.task["statuses"]]
        shown = self.page.value("[...document.querySelectorAll('.life .state')].map((state) => state.innerText)")
        for state in said:
            name = state.removeprefix("TASK_").lower()
            assert any(name in text for text in shown), f"{name} is not among {shown}"

    def task_output(self):
        self.page.wait("document.querySelector('pre[aria-label=stdout]')?.innerText.includes('first words')")
        self.page.wait("document.querySelector('pre[aria-label=stderr]')?.innerText.includes('a warning')")
        picture(self.page, "task")

    def links_of_mesos(self):
        """Marathon, Spark and others link to Mesos' own pages."""
        agent, framework, task = (urllib.parse.quote(self.task[key], safe="") for key in ("slave_id", "framework_id", "id"))
        executor = f"frameworks/{framework}/executors/{task}"
        for link in (f"slaves/{agent}/{executor}", f"agents/{agent}/{executor}/browse", f"agents/{agent}/{executor}/tasks/{task}/browse"):
            self.page.open(f"{self.base}#/frameworks/{framework}")
            self.page.wait("document.querySelectorAll('.resources .bar').length === 3")
            self.page.open(f"{self.base}#/{link}")
            self.page.wait("document.querySelector('pre[aria-label=stdout]')?.innerText.includes('first words')")

    def task_ends(self):
        framework, task = (urllib.parse.quote(self.task[key], safe="") for key in ("framework_id", "id"))
        agent = self.dev.get(f"/admin/task/{framework}/{task}")["agent"]
        state = self.dev.get("/state", port=agent["address"].rpartition(":")[2])
        executors = [executor for framework in state["frameworks"] for executor in framework["executors"]]
        sandbox = next(executor["directory"] for executor in executors if any(run["id"] == self.task["id"] for run in executor["tasks"]))
        with open(os.path.join(sandbox, "end"), "w", encoding="utf-8"):
            pass
        self.page.wait("document.querySelector('.title .state')?.innerText.includes('finished')")
        self.page.wait("document.querySelector('pre[aria-label=stdout]')?.innerText.includes('last words')")
        self.page.wait("[...document.querySelectorAll('.life .words')].some((words) => words.innerText.includes('exited with status 0'))")

    def mailboxes(self):
        self.page.open(f"{self.base}#/actors")
        for name in MAILBOXES:
            self.page.wait(f"[...document.querySelectorAll('.opener')].some((row) => row.innerText.trim().includes({json.dumps(name)}))")
        nodes = "new Set([...document.querySelectorAll('.node')].map((node) => node.innerText)).size"
        self.page.wait(f"{nodes} > {self.dev.agents}")
        rates = "[...document.querySelectorAll('tbody tr')].filter((row) => /^[\\d.,]+$/.test(row.cells[6]?.innerText)).length"
        self.page.wait(f"{rates} > 1")
        picture(self.page, "actors")

    def sorting(self):
        self.page.value("[...document.querySelectorAll('th .sort')].find((head) => head.innerText.startsWith('Actor')).click()")
        self.page.wait("document.querySelector('th[aria-sort=ascending]')?.innerText.startsWith('Actor')")
        names = self.page.value("[...document.querySelectorAll('.opener')].map((row) => row.innerText.replace(/^\\W+/, '').toLowerCase())")
        ordered = self.page.value(f"{json.dumps(names)}.toSorted((one, other) => one.localeCompare(other))")
        assert names == ordered, f"not sorted: {names}"

    def filtering(self):
        self.page.value("{ const box = document.querySelector('input[type=search]'); box.value = 'allocator'; box.dispatchEvent(new Event('input', { bubbles: true })); }")
        self.page.wait("[...document.querySelectorAll('.opener')].every((row) => row.closest('tr').innerText.includes('allocator'))")
        assert "q=allocator" in self.page.value("location.hash"), "the filter is not in the address"

    def breakdown(self):
        self.page.value("document.querySelector('.opener').click()")
        self.page.wait("document.querySelectorAll('.breakdown tbody tr').length > 0")
        self.page.wait("document.querySelector('.opener').getAttribute('aria-expanded') === 'true'")

    def themes(self):
        ground = "getComputedStyle(document.body).backgroundColor"
        self.page.prefer("light")
        light = self.page.value(ground)
        self.page.prefer("dark")
        dark = self.page.value(ground)
        assert light != dark, f"both are {light}"
        self.page.value("document.querySelector('button.icon').click()")
        assert self.page.value(ground) == light, "the button does not change the theme"
        self.page.reload()
        self.page.wait(f"document.querySelector('.top') && {ground} === {json.dumps(light)}")

    def keys(self):
        self.page.open(self.base)
        self.page.wait(says("live"))
        for key, title in (("x", "Offers"), ("w", "Why"), ("s", "Masters")):
            for pressed in ("g", key):
                self.page.value(f"document.body.dispatchEvent(new KeyboardEvent('keydown', {{ key: '{pressed}', bubbles: true }}))")
            self.page.wait(f"document.querySelector('h1')?.innerText === '{title}' && document.querySelector('nav [aria-current]').innerText === '{title}'")

    def masters(self):
        self.page.open(f"{self.base}#/masters")
        known = self.dev.get("/tepui/v1/cluster")
        member = known["members"][0]
        wanted = (member["name"], "leads", "serves this page", "leader", member["address"], member["http"], member["disk"].split("-")[0])
        self.page.wait(f"{json.dumps(wanted)}.every((word) => document.querySelector('tbody tr')?.innerText.includes(word))")
        self.page.wait(says(f"{known['leader']} leads in term {known['term']}; cluster {known['cluster_id']}"))
        self.page.wait(says(f"tepui cluster status --master {self.dev.address}"))
        picture(self.page, "masters")

    def offers(self, hoarder):
        offer = hoarder.wait_offer(0.1, 32)
        self.page.open(f"{self.base}#/offers")
        row = "[...document.querySelectorAll('tr')].find((row) => row.innerText.includes({}))"
        self.page.wait(f"{row.format(json.dumps('…' + offer['id']['value'][-14:]))}?.innerText.includes({json.dumps(HOSTILE)})")
        self.page.wait(f"document.querySelector('tbody tr').innerText.includes({json.dumps(HOSTILE)})")
        hoarder.decline(offer)
        self.page.wait(f"!!{row.format(json.dumps('declined'))}")
        self.page.wait(says(f"tepui offers --history --master {self.dev.address}"))
        picture(self.page, "offers")
        self.nothing_taken()

    def nothing_taken(self):
        """A name is text: no element came of it, and nothing of it ran."""
        assert self.page.value("!document.querySelector('img[src=x]') && !document.title.includes('taken')"), "a name became a part of the page"

    def why(self, hoarder):
        self.page.open(self.base)
        self.page.wait(f"[...document.querySelectorAll('td a')].find((link) => link.href.includes({json.dumps('why?framework=' + hoarder.id)}))?.click() === undefined && location.hash.startsWith('#/why')")
        self.page.wait(says("Under role *"))
        self.ask(need="cpus:64000;mem:64")
        self.page.wait(says("needs cpus:64000;mem:64"))
        command = [self.dev.bin, "why", hoarder.id, "--need", "cpus:64000;mem:64", "--master", self.dev.address]
        lines = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.splitlines()
        assert len(lines) > self.dev.agents + 3, f"`tepui why` says {lines}"
        for sentence in sentences(lines):
            self.page.wait(says(sentence))
        self.page.wait(says(f"tepui why {hoarder.id} --need 'cpus:64000;mem:64' --master {self.dev.address}"))
        picture(self.page, "why")
        link = self.page.value("location.href")
        self.page.open("about:blank")
        self.page.open(link)
        self.page.wait(says("needs cpus:64000;mem:64"))
        assert self.page.value("document.querySelector('[name=need]').value") == "cpus:64000;mem:64", "the link does not fill the form"
        self.nothing_taken()

    def contrast(self, hoarder):
        for scheme in ("light", "dark"):
            self.page.prefer(scheme)
            for path, words in (("masters", "leads in term"), ("offers", "Who holds offers"), (f"why?framework={hoarder.id}&need=cpus:64", "Under role *")):
                self.page.open("about:blank")
                self.page.open(f"{self.base}#/{path}")
                self.page.wait(says(words))
                assert self.page.value(PALE) == [], f"{path} in {scheme} colours: too pale are {self.page.value(PALE)}"

    def one_name_twice(self, hoarder):
        """Two frameworks of one name: which is meant is asked, and what else was filled in stays."""
        with_same_name = Scheduler(self.dev.address, HOSTILE)
        try:
            with_same_name.subscribe()
            self.page.open(self.base)
            self.page.wait(f"[...document.querySelectorAll('td a')].filter((link) => link.ariaLabel?.includes({json.dumps(HOSTILE)})).length === 2")
            self.page.open(f"{self.base}#/why?framework={urllib.parse.quote(HOSTILE)}&need=cpus:64")
            self.page.wait(says("may be any of 2 frameworks"))
            self.page.value(f"[...document.querySelectorAll('button.link')].find((link) => link.innerText.includes({json.dumps(hoarder.id)})).click()")
            self.page.wait(says(f"({hoarder.id}) needs cpus:64"))
            self.nothing_taken()
        finally:
            with_same_name.close()

    def ask(self, **values):
        for key, value in values.items():
            self.page.wait("document.querySelector('form')")
            self.page.value(f"{{ const box = document.querySelector('[name={key}]'); box.value = {json.dumps(value)}; box.dispatchEvent(new Event('input', {{ bubbles: true }})); }}")
        self.page.value("document.querySelector('form').requestSubmit()")

    def why_words(self):
        """Every cause there is, answered in place of the master."""
        with open(WHY_TOLD, encoding="utf-8") as file:
            golden = json.load(file)
        self.page.value(f"{{ const answer = {json.dumps(json.dumps(golden['answer']))}; window.fetch = async () => new Response(answer); }}")
        self.ask(need="")
        for sentence in sentences(golden["told"]):
            self.page.wait(says(sentence))
        picture(self.page, "why-words")
        self.page.open("about:blank")
        self.page.open(f"{self.base}#/why")
        self.page.wait(says("Name a framework"))

    def refusals(self):
        """What is wrong is told, and where nothing is there, what would be."""
        for query, words in (("framework=nobody", "No framework 'nobody' takes offers"), (f"framework={urllib.parse.quote(TASK)}&need=cpus", "cpus"), ("", "Name a framework")):
            self.page.open(f"{self.base}#/why?{query}")
            alert = "document.querySelector('[role=alert]')?.innerText"
            self.page.wait(f"{alert}?.includes({json.dumps(words)})" if query else says(words))
        for status, words in ((403, "you may not read /tepui/v1/offers"), (503, "no leader elected")):
            self.page.open("about:blank")
            self.page.open(f"{self.base}#/offers")
            self.page.wait(says("Who holds offers"))
            self.page.value(f"window.fetch = async () => new Response('No leader elected', {{ status: {status} }})")
            self.page.wait(f"document.querySelector('[role=alert]')?.innerText.toLowerCase().includes({json.dumps(words)})")
            assert self.page.value("document.querySelectorAll('td').length") > 0, "the last data is gone"
        offer = {"id": "o", "framework_id": "f", "framework": None, "role": None, "agent_id": "a", "hostname": "h", "resources": {"gpus": 2}, "age_secs": 1}
        many = {"offers": [{**offer, "id": f"o{number}"} for number in range(100)], "ended": [], "holders": [], "standing": 12_345}
        self.page.value(f"window.fetch = async () => new Response({json.dumps(json.dumps(many))})")
        self.page.wait(says("12,245 more are not shown"))
        self.page.open("about:blank")
        self.page.open(f"{self.base}#/masters")
        self.page.wait(says("leads in term"))
        self.page.value("{ const real = fetch; window.fetch = async (...asked) => { const shown = await (await real(...asked)).json(); return new Response(JSON.stringify({ ...shown, leader: null, healthy: false, members: shown.members.map((member) => ({ ...member, reachable: false, trouble: null })) })); }; }")
        self.page.wait("document.querySelector('[role=alert]')?.innerText.includes('Nobody leads')")
        self.page.wait(says("cannot be reached: it does not answer"))

    def broken(self):
        self.page.open(self.base)
        self.page.wait(says("live"))
        self.dev.process.terminate()
        self.dev.process.wait(30)
        self.page.wait("document.querySelector('[role=alert]')?.innerText.includes('does not answer')")
        assert self.page.value("document.querySelectorAll('td').length") > 0, "the last data is gone"


def group():
    """Three masters, no framework: a follower's page, and pages with nothing on them."""
    with Dev(agents=1, masters=3) as dev, Browser(1440, 1000) as page:
        known = dev.get("/tepui/v1/cluster")
        leader = next(member for member in known["members"] if member["name"] == known["leader"])
        follower = next(member for member in known["members"] if member["name"] != known["leader"])

        def of_follower():
            page.open(f"http://{follower['http']}/admin/index.html#/masters")
            row = "[...document.querySelectorAll('tbody tr')].find((row) => row.innerText.includes({})).innerText"
            page.wait("document.querySelectorAll('tbody tr').length === 3")
            page.wait(f"{row.format(json.dumps(follower['name']))}.includes('serves this page')")
            page.wait(f"{row.format(json.dumps(leader['name']))}.includes('leads')")
            picture(page, "follower")
            page.open(f"http://{follower['http']}/admin/index.html#/")
            page.wait("document.querySelector('[role=alert]')?.innerText.includes('does not lead')")

        def to_leader():
            page.open(f"http://{follower['http']}/admin/index.html#/offers")
            page.wait("document.querySelector('[role=alert] a[href$=offers]')?.click() === undefined && location.host === " + json.dumps(leader["http"]))
            page.wait(says("No framework was offered anything") + " && " + says("No offer stands"))
            picture(page, "no-offers")

        check("a master that follows shows the group, and marks itself", of_follower)
        check("what only the leader tells is linked there; without offers their page says so", to_leader)
        check("the browser had nothing to complain about there either", lambda: no_errors(page))


def no_errors(page):
    assert not page.errors, f"the browser reports {page.errors[:3]}"


def main():
    try:
        with Dev(agents=2) as dev, Browser(1440, 1000) as page:
            run = subprocess.Popen([dev.bin, "run", "--master", dev.address, "--name", TASK, "--", "sh", "-c", COMMAND],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                checks = Checks(dev, page)
                check("the overview shows agents, resources and a chart", checks.overview)
                check("an agent without root is told apart, with what bounds its containers", checks.without_root)
                check("a framework stands there with its user and its role", checks.frameworks_by_user_and_role)
                check("a started task appears by itself and leads to its page", checks.task_appears)
                check("the task's life is shown with milliseconds", checks.task_life)
                check("the task's stdout and stderr are shown", checks.task_output)
                check("links to Mesos' pages lead to the task, or to the overview", checks.links_of_mesos)
                check("the task's end and its last words arrive by themselves", checks.task_ends)
                check("the mailboxes of the master and all agents are shown with rates", checks.mailboxes)
                check("mailboxes are sorted by a click", checks.sorting)
                check("mailboxes are filtered, and the address keeps the filter", checks.filtering)
                check("a mailbox opens into its message types", checks.breakdown)
                check("keys lead to the pages of offers, why and masters", checks.keys)
                check("the masters are shown, who leads and who serves the page", checks.masters)
                hoarder = Scheduler(dev.address, HOSTILE)
                try:
                    hoarder.subscribe()
                    check("offers are shown while they stand and when they ended, a hostile name as text", lambda: checks.offers(hoarder))
                    check("why answers as the command does, and its address can be shared", lambda: checks.why(hoarder))
                    check("of two frameworks of one name why asks which", lambda: checks.one_name_twice(hoarder))
                    check("all letters of these pages stand out from their ground", lambda: checks.contrast(hoarder))
                    check("why has the command's words for every cause", checks.why_words)
                finally:
                    hoarder.close()
                check("dark and light follow the system, and the button is remembered", checks.themes)
                check("the browser had nothing to complain about", lambda: no_errors(page))
                check("what is refused, forbidden, missing or too much is told in words", checks.refusals)
                check("a broken stream is told, and the last data stays", checks.broken)
            finally:
                if run.poll() is None:
                    run.terminate()
                run.wait(10)
        group()
    except (NotReady, PageError) as error:
        check("the cluster and the browser start", lambda: (_ for _ in ()).throw(PageError(str(error))))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
