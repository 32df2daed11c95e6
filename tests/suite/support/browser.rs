//! A browser that is told what to do, over its pipe of DevTools messages; `tests/run` installs Debian's Chromium.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use data_encoding::BASE64;
use serde_json::{Value, json};

/// A browser with one page.
pub struct Browser {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    count: u64,
    session: Option<String>,
    /// What pages wrote to the console, and what the browser found wrong with them.
    pub complaints: Vec<String>,
}

impl Browser {
    /// Starts it, with what it keeps below this directory.
    pub fn start(home: &Path) -> Self {
        // It reads from descriptor 3 and writes to 4. One that hangs ends by itself.
        let script = "exec timeout 300 chromium \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1";
        let mut command = Command::new("sh");
        command.args(["-c", script, "chromium", "--headless", "--no-sandbox", "--disable-gpu"]);
        command.args(["--hide-scrollbars", "--window-size=1400,1200", "--remote-debugging-pipe"]);
        command.env("HOME", home).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a shell");
        let to = child.stdin.take();
        let from = BufReader::new(child.stdout.take().expect("piped"));
        let mut browser = Browser { child, to, from, count: 0, session: None, complaints: Vec::new() };
        let target = browser.ask("Target.createTarget", &json!({"url": "about:blank"}))["targetId"].clone();
        let attached = browser.ask("Target.attachToTarget", &json!({"targetId": target, "flatten": true}));
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log"] {
            browser.ask(&format!("{domain}.enable"), &json!({}));
        }
        browser.ask("Emulation.setFocusEmulationEnabled", &json!({"enabled": true}));
        browser
    }

    /// Says what is to be done, and waits until it is.
    pub fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.count += 1;
        let mut message = json!({"id": self.count, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.as_mut().expect("open").write_all(&bytes).expect("chromium takes messages; install it");
        loop {
            let said = self.hear();
            if said["id"] == self.count {
                assert!(said["error"].is_null(), "{method}: {said}");
                return said["result"].clone();
            }
        }
    }

    /// The next message.
    fn hear(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.from.read_until(0, &mut bytes).expect("readable");
        assert_eq!(bytes.pop(), Some(0), "the browser ended; is chromium installed?");
        let said: Value = serde_json::from_slice(&bytes).expect("JSON");
        if let Some("Runtime.consoleAPICalled" | "Runtime.exceptionThrown" | "Log.entryAdded") =
            said["method"].as_str()
        {
            self.complaints.push(said["params"].to_string());
        }
        said
    }

    /// Opens a file and waits until it is there.
    pub fn open(&mut self, file: &Path) {
        self.ask("Page.navigate", &json!({"url": format!("file://{}", file.display())}));
        // What the page is while it loads is no page to look at.
        let loaded = "new Promise(done => document.readyState == 'complete' ? done() : addEventListener('load', done))";
        self.evaluate(loaded);
    }

    /// What an expression says in the page.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let said = self.ask("Runtime.evaluate", &params);
        assert!(said["exceptionDetails"].is_null(), "{expression}: {said}");
        said["result"]["value"].clone()
    }

    /// Presses a key of this name that writes this text, if it writes any.
    pub fn press(&mut self, key: &str, code: u32, text: &str) {
        let down = if text.is_empty() { "rawKeyDown" } else { "keyDown" };
        for kind in [down, "keyUp"] {
            let text = if kind == "keyUp" { "" } else { text };
            let params = json!({"type": kind, "key": key, "windowsVirtualKeyCode": code, "text": text});
            self.ask("Input.dispatchKeyEvent", &params);
        }
    }

    /// Clicks into the middle of what this expression gives.
    pub fn click(&mut self, element: &str) {
        let place = self.evaluate(&format!(
            "(() => {{ const it = {element}; it.scrollIntoView({{block: 'center'}}); const box = it.getBoundingClientRect(); \
             return [box.x + box.width / 2, box.y + box.height / 2] }})()"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let (x, y) = (&place[0], &place[1]);
            let params = json!({"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1});
            self.ask("Input.dispatchMouseEvent", &params);
        }
    }

    /// A picture (PNG) of the page as people see it who prefer this scheme.
    pub fn picture(&mut self, scheme: &str) -> Vec<u8> {
        let feature = json!({"name": "prefers-color-scheme", "value": scheme});
        self.ask("Emulation.setEmulatedMedia", &json!({"features": [feature]}));
        let said = self.ask("Page.captureScreenshot", &json!({"format": "png"}));
        BASE64.decode(said["data"].as_str().expect("a picture").as_bytes()).expect("base64")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its pipe's end is its own.
        drop(self.to.take());
        let _ = self.child.wait();
    }
}
