//! What each path answers. Only GET and HEAD; only to whoever names the server as it is reached, by a loopback address or as localhost.

use std::net::IpAddr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};

use super::stage::{Observed, Stage};
use super::{collect, job_json};
use crate::places::host_of;
use crate::telemetry::metrics::Exposition;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// Answers a request. Its body is not read: none of them needs one.
pub(super) async fn answer<B>(request: Request<B>, observed: &Observed) -> Response<Full<Bytes>> {
    let headers = request.headers();
    if !names_this_machine(headers) {
        return text(StatusCode::FORBIDDEN, "the Host header is neither localhost nor a loopback address");
    }
    let path = request.uri().path();
    if !["/metrics", "/healthz", "/readyz", "/jobs"].contains(&path) {
        return text(StatusCode::NOT_FOUND, "there are /metrics, /healthz, /readyz and /jobs");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD");
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match path {
        "/metrics" => metrics(headers, observed).await,
        "/readyz" => readiness(observed.stage()),
        "/jobs" => jobs(observed).await,
        _ => text(StatusCode::OK, "alive"),
    }
}

/// Whether the request was meant for a server on this machine. A page in a browser that has its own name lead here, to read what it may
/// not, cannot hide that name.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST) else { return true };
    let Ok(host) = host.to_str() else { return false };
    let host = host_of(host.trim());
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn readiness(stage: Stage) -> Response<Full<Bytes>> {
    match stage {
        Stage::Ready => text(StatusCode::OK, "ready"),
        Stage::Opening(what) => text(StatusCode::SERVICE_UNAVAILABLE, &format!("starting: opening {what}")),
        Stage::Stopping => text(StatusCode::SERVICE_UNAVAILABLE, "stopping"),
    }
}

async fn metrics(headers: &HeaderMap, observed: &Observed) -> Response<Full<Bytes>> {
    let exposition = Exposition::accepted(headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()));
    let samples = collect::all(observed).await;
    response(StatusCode::OK, exposition.content_type(), exposition.write(&samples))
}

async fn jobs(observed: &Observed) -> Response<Full<Bytes>> {
    let Some(sql) = observed.sql() else { return readiness(observed.stage()) };
    match job_json::jobs(&collect::status(sql).await) {
        Ok(json) => response(StatusCode::OK, JSON, json),
        Err(error) => {
            tracing::error!(%error, "jobs cannot be shown as JSON");
            text(StatusCode::INTERNAL_SERVER_ERROR, "jobs cannot be shown: see the log")
        }
    }
}

fn text(status: StatusCode, line: &str) -> Response<Full<Bytes>> {
    response(status, TEXT, format!("{line}\n"))
}

fn response(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
