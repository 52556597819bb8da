//! Asks a node.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::{Method, Request, Response, Uri};

use super::Failure;

/// A node answers late when it has waited for others, never later than it was told by this.
const ANSWER_MARGIN: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A node and how long it may take.
pub(super) struct Node {
    agent: Agent,
    url: String,
    timeout: Duration,
}

impl Node {
    pub(super) fn new(url: &str, timeout: Duration) -> Result<Self, Failure> {
        let url = url.trim_end_matches('/').to_owned();
        let is_http = |uri: &Uri| uri.scheme_str() == Some("http") && uri.host().is_some() && uri.path() == "/";
        if !url.parse::<Uri>().is_ok_and(|uri| is_http(&uri)) {
            return Err(Failure::BadNode { url });
        }
        let config = Agent::config_builder().http_status_as_error(false).timeout_connect(Some(CONNECT_TIMEOUT));
        Ok(Self { agent: config.build().new_agent(), url, timeout })
    }

    /// What the node knows anyway.
    pub(super) fn status(&self) -> Result<Value, Failure> {
        self.ask(Method::GET, "/raft/status", "")
    }

    /// What the node knows once it knows all that is committed now.
    pub(super) fn latest_status(&self) -> Result<Value, Failure> {
        self.ask(Method::GET, &format!("/raft/status?consistency=linearizable&{}", self.timeout_ms()), "")
    }

    /// Sends a body, or none if it is null.
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.ask(Method::POST, &format!("{path}?{}", self.timeout_ms()), &body)
    }

    fn timeout_ms(&self) -> String {
        format!("timeout_ms={}", self.timeout.as_millis())
    }

    fn ask(&self, method: Method, path: &str, body: &str) -> Result<Value, Failure> {
        let mut response = self.send(method, path, body, Some(self.timeout + ANSWER_MARGIN))?;
        let status = response.status();
        let text = response.body_mut().read_to_string().map_err(|error| self.unreachable(error))?;
        let no_node = || Failure::NoNode { url: self.url.clone(), status: status.as_u16(), text: text.clone() };
        let answer: Value = serde_json::from_str(&text).map_err(|_| no_node())?;
        if status.is_success() {
            return Ok(answer);
        }
        let word = |field: &str| answer[field].as_str().map(str::to_owned).ok_or_else(no_node);
        Err(Failure::Refused { error: word("error")?, detail: word("detail")? })
    }

    /// The events of the node as they come, as JSON each; ends with the stream.
    pub(super) fn events(&self) -> Result<impl Iterator<Item = Value>, Failure> {
        let response = self.send(Method::GET, "/raft/events", "", None)?;
        let status = response.status();
        if !status.is_success() {
            let text = response.into_body().read_to_string().unwrap_or_default();
            return Err(Failure::NoNode { url: self.url.clone(), status: status.as_u16(), text });
        }
        let lines = BufReader::new(response.into_body().into_reader()).lines().map_while(Result::ok);
        Ok(lines.filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()))
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    fn send(
        &self,
        method: Method,
        path: &str,
        body: &str,
        timeout: Option<Duration>,
    ) -> Result<Response<ureq::Body>, Failure> {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        let request = request.body(body.to_owned()).map_err(|_| Failure::BadNode { url: self.url.clone() })?;
        let request = self.agent.configure_request(request).timeout_global(timeout).build();
        self.agent.run(request).map_err(|error| self.unreachable(error))
    }

    fn unreachable(&self, error: ureq::Error) -> Failure {
        Failure::Unreachable { url: self.url.clone(), source: Box::new(error) }
    }
}
