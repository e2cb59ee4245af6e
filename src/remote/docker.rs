//! Docker's API over its Unix socket, for the host collector: four harmless GETs, nothing else can be asked.

use std::{path::Path, time::Duration};

use reqwest::{Client, Method, Url};
use serde::Deserialize;

use super::{Cause, Error};

/// Most bytes of an answer.
const LIMIT: usize = 16 << 20;
/// Docker takes two seconds for statistics, and more for the sizes of layers.
const TIMEOUT: Duration = Duration::from_secs(40);

/// A container in Docker's list.
#[derive(Debug, Clone, Deserialize)]
pub struct Listed {
    /// Its id.
    #[serde(rename = "Id")]
    pub id: String,
    /// Its names, each with a slash before it.
    #[serde(rename = "Names", default)]
    pub names: Vec<String>,
    /// `running`, `exited`, ...
    #[serde(rename = "State", default)]
    pub state: String,
    /// Bytes of its writable layer, when asked for.
    #[serde(rename = "SizeRw")]
    pub size_rw: Option<f64>,
}

/// A container as Docker knows it.
#[derive(Debug, Clone, Deserialize)]
pub struct Inspected {
    /// How often Docker restarted it.
    #[serde(rename = "RestartCount")]
    pub restarts: Option<f64>,
    /// Its state.
    #[serde(rename = "State")]
    pub state: ContainerState,
}

/// A container's state.
#[derive(Debug, Clone, Deserialize)]
pub struct ContainerState {
    /// Process id of its first process on the host; 0 when it does not run.
    #[serde(rename = "Pid", default)]
    pub pid: u32,
    /// RFC 3339.
    #[serde(rename = "StartedAt", default)]
    pub started_at: String,
    /// What its health check says, when it has one.
    #[serde(rename = "Health")]
    pub health: Option<Health>,
}

/// What a health check says.
#[derive(Debug, Clone, Deserialize)]
pub struct Health {
    /// `healthy`, `unhealthy`, `starting`.
    #[serde(rename = "Status", default)]
    pub status: String,
}

/// What a container uses: two readings of its processor time, and its memory.
#[derive(Debug, Clone, Deserialize)]
pub struct Usage {
    /// Now.
    pub cpu_stats: CpuStats,
    /// A second before.
    pub precpu_stats: CpuStats,
    /// Memory.
    #[serde(default)]
    pub memory_stats: MemoryStats,
    /// Processes.
    #[serde(default)]
    pub pids_stats: PidsStats,
}

/// Processor time.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct CpuStats {
    /// Of the container.
    #[serde(default)]
    pub cpu_usage: CpuUsage,
    /// Of the host, all cores together.
    pub system_cpu_usage: Option<f64>,
    /// Cores.
    pub online_cpus: Option<f64>,
}

/// Processor time of a container.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct CpuUsage {
    /// Nanoseconds.
    pub total_usage: Option<f64>,
}

/// Memory of a container.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct MemoryStats {
    /// Bytes, with the page cache.
    pub usage: Option<f64>,
    /// Bytes that it may use.
    pub limit: Option<f64>,
    /// Its parts.
    #[serde(default)]
    pub stats: MemoryParts,
}

/// Parts of a container's memory.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct MemoryParts {
    /// Page cache that nobody used for long.
    pub inactive_file: Option<f64>,
    /// The same, by its name of cgroup version 1.
    pub total_inactive_file: Option<f64>,
}

/// Processes of a container.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct PidsStats {
    /// How many there are.
    pub current: Option<f64>,
}

impl Usage {
    /// Share of one core in percent, as `docker stats` says.
    pub fn cpu(&self) -> Option<f64> {
        let used = self.cpu_stats.cpu_usage.total_usage? - self.precpu_stats.cpu_usage.total_usage?;
        let all = self.cpu_stats.system_cpu_usage? - self.precpu_stats.system_cpu_usage?;
        (all > 0.0 && used >= 0.0).then(|| used / all * self.cpu_stats.online_cpus.unwrap_or(1.0) * 100.0)
    }

    /// Bytes of memory without the page cache that could be given back.
    pub fn memory(&self) -> Option<f64> {
        let parts = &self.memory_stats.stats;
        let cache = parts.inactive_file.or(parts.total_inactive_file).unwrap_or(0.0);
        self.memory_stats.usage.map(|usage| (usage - cache).max(0.0))
    }
}

/// A client of one Docker.
#[derive(Debug, Clone)]
pub struct Docker {
    client: Client,
}

impl Docker {
    /// A client of the socket at `path`.
    pub fn new(path: &Path) -> Result<Self, Error> {
        let builder = Client::builder().unix_socket(path).timeout(TIMEOUT).no_proxy();
        let client = builder.build().map_err(|error| Error {
            target: "Docker".to_owned(),
            cause: Cause::Connect(error.to_string()),
        })?;
        Ok(Self { client })
    }

    /// All containers, stopped ones, too; with the sizes of their layers only if asked for, as Docker counts them anew.
    pub async fn containers(&self, sizes: bool) -> Result<Vec<Listed>, Error> {
        self.ask(&format!("containers/json?all=1&size={}", u8::from(sizes))).await
    }

    /// What Docker knows of a container.
    pub async fn inspect(&self, id: &str) -> Result<Inspected, Error> {
        self.ask(&format!("containers/{}/json", hex(id)?)).await
    }

    /// What a container uses; takes a second.
    pub async fn usage(&self, id: &str) -> Result<Usage, Error> {
        self.ask(&format!("containers/{}/stats?stream=false", hex(id)?)).await
    }

    async fn ask<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let failed = |cause| Error { target: format!("Docker {path}"), cause };
        // The host's name stands for the socket.
        let url = Url::parse(&format!("http://docker/{path}")).map_err(|_| failed(Cause::BadName))?;
        let broken = |error: reqwest::Error| {
            if error.is_timeout() { failed(Cause::Timeout) } else { failed(Cause::Connect(chain(&error))) }
        };
        let mut response = self.client.request(Method::GET, url).send().await.map_err(broken)?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            if body.len() + chunk.len() > LIMIT {
                return Err(failed(Cause::TooLarge(LIMIT)));
            }
            body.extend_from_slice(&chunk);
        }
        if status != 200 {
            let text = String::from_utf8_lossy(&body).chars().take(200).collect();
            return Err(failed(Cause::Status { status, text }));
        }
        serde_json::from_slice(&body).map_err(|error| failed(Cause::Json(error.to_string())))
    }
}

/// The innermost reason: `permission denied` says more than `error sending request`.
fn chain(error: &reqwest::Error) -> String {
    let mut last: &dyn std::error::Error = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

/// An id and nothing else: no path of Docker's API can be built with it.
fn hex(id: &str) -> Result<&str, Error> {
    let sound = !id.is_empty() && id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    sound.then_some(id).ok_or_else(|| Error { target: "Docker".to_owned(), cause: Cause::BadName })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_those_of_docker_stats() {
        let usage: Usage = serde_json::from_str(
            r#"{"cpu_stats":{"cpu_usage":{"total_usage":300},"system_cpu_usage":2000,"online_cpus":4},
            "precpu_stats":{"cpu_usage":{"total_usage":200},"system_cpu_usage":1000},
            "memory_stats":{"usage":500,"limit":1000,"stats":{"inactive_file":100}},"pids_stats":{"current":7}}"#,
        )
        .unwrap();
        assert_eq!(
            (usage.cpu(), usage.memory(), usage.pids_stats.current),
            (Some(40.0), Some(400.0), Some(7.0))
        );
        let idle: Usage = serde_json::from_str(r#"{"cpu_stats":{},"precpu_stats":{}}"#).unwrap();
        assert_eq!((idle.cpu(), idle.memory()), (None, None), "a stopped container has no share");
    }

    #[test]
    fn an_id_cannot_leave_its_place_in_the_path() {
        for id in ["", "../images", "a/b", "a?b", "0123x"] {
            assert!(hex(id).is_err(), "{id}");
        }
        assert!(hex("0a1b2c3d").is_ok());
    }
}
