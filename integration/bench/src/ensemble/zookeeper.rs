//! Debian's ZooKeeper, and as much of a client as writes need: one session a connection, one request at a time.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use bytes::{Buf, BufMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{MAX_KEYS, Place, Plan, bare, key_name, payload, payload_value};

const LIBRARY: &str = "/usr/share/java/zookeeper.jar";
const JAVA: &str = "/usr/bin/java";
/// Memory for each server's heap.
const HEAP: &str = "-Xmx512m";
const WORD_TIMEOUT: Duration = Duration::from_secs(2);
const SESSION_TIMEOUT_MS: i32 = 10_000;

const CREATE: i32 = 1;
const GET_DATA: i32 = 4;
const SET_DATA: i32 = 5;
const NODE_EXISTS: i32 = -110;
/// Any version of a node.
const ANY_VERSION: i32 = -1;
/// Every right, for everybody.
const ALL_RIGHTS: i32 = 31;

pub(super) fn is_installed() -> bool {
    Path::new(LIBRARY).is_file() && Path::new(JAVA).is_file()
}

pub(super) fn command(node: usize, plan: &Plan, home: &Path) -> anyhow::Result<Command> {
    let config = write_config(node, plan, home)?;
    let mut command = bare(Path::new(JAVA));
    command
        .arg(HEAP)
        .arg("-cp")
        .arg(format!("{}:{LIBRARY}", home.display()))
        .arg("org.apache.zookeeper.server.quorum.QuorumPeerMain")
        .arg(config);
    Ok(command)
}

/// The sample settings of the package, with as many connections as there are clients.
fn write_config(node: usize, plan: &Plan, home: &Path) -> anyhow::Result<PathBuf> {
    let data = home.join("data");
    std::fs::create_dir_all(&data)?;
    std::fs::write(data.join("myid"), (node + 1).to_string())?;
    let mut config = format!(
        "tickTime=2000\ninitLimit=10\nsyncLimit=5\nmaxClientCnxns=0\nadmin.enableServer=false\n\
         4lw.commands.whitelist=srvr,mntr\ndataDir={}\nclientPortAddress=127.0.0.1\nclientPort={}\n",
        data.display(),
        plan.ports[node].client
    );
    for (index, ports) in plan.ports.iter().enumerate() {
        let (peer, election) = (ports.peer, ports.election);
        config.push_str(&format!(
            "server.{}=127.0.0.1:{peer}:{election}\n",
            index + 1
        ));
    }
    std::fs::write(
        home.join("log4j.properties"),
        "log4j.rootLogger=ERROR, A\nlog4j.appender.A=org.apache.log4j.ConsoleAppender\n\
         log4j.appender.A.layout=org.apache.log4j.SimpleLayout\n",
    )?;
    let path = home.join("zoo.cfg");
    std::fs::write(&path, config)?;
    Ok(path)
}

/// Asks one of the four-letter words.
async fn word(address: &str, word: &str) -> anyhow::Result<String> {
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(word.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        anyhow::Ok(answer)
    };
    timeout(WORD_TIMEOUT, asked)
        .await
        .with_context(|| format!("{address} does not answer {word}"))?
}

pub(super) async fn place(address: &str) -> anyhow::Result<Place> {
    let answer = word(address, "srvr").await?;
    let mode = answer.lines().find_map(|line| line.strip_prefix("Mode: "));
    Ok(match mode {
        Some("leader") => Place::Leads,
        Some("follower") => Place::Follows,
        _ => Place::Lost,
    })
}

pub(super) async fn syncs(address: &str) -> anyhow::Result<u64> {
    let answer = word(address, "mntr").await?;
    let count = answer
        .lines()
        .find_map(|line| line.strip_prefix("zk_cnt_fsynctime"))
        .with_context(|| format!("{address} counts no syncs"))?;
    Ok(count.trim().parse()?)
}

pub(super) async fn make_keys(address: String) -> anyhow::Result<()> {
    let mut session = Session::open(&address).await?;
    for key in 0..MAX_KEYS {
        session.create(key).await?;
    }
    Ok(())
}

pub(super) async fn values(address: &str) -> anyhow::Result<BTreeMap<usize, u64>> {
    let mut session = Session::open(address).await?;
    let mut values = BTreeMap::new();
    for key in 0..MAX_KEYS {
        if let Some(value) = session.get(key).await? {
            values.insert(key, value);
        }
    }
    Ok(values)
}

/// A session and its connection.
pub(crate) struct Session {
    stream: TcpStream,
    last_xid: i32,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Session {
    pub(super) async fn open(address: &str) -> anyhow::Result<Session> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut session = Session {
            stream,
            last_xid: 0,
            request: Vec::new(),
            answer: Vec::new(),
        };
        session.begin();
        let request = &mut session.request;
        // Protocol version, last zxid seen, timeout, session id, password, whether read-only will do.
        request.put_i32(0);
        request.put_i64(0);
        request.put_i32(SESSION_TIMEOUT_MS);
        request.put_i64(0);
        put_buffer(request, &[0; 16]);
        request.put_u8(0);
        session.exchange().await?;
        let mut answer = session.answer.as_slice();
        ensure!(answer.len() >= 16, "no answer to a new session");
        answer.advance(4);
        ensure!(answer.get_i32() > 0, "the session was refused");
        Ok(session)
    }

    /// Leaves room for the length.
    fn begin(&mut self) {
        self.request.clear();
        self.request.put_i32(0);
    }

    fn ask(&mut self, kind: i32, key: usize) {
        self.begin();
        self.last_xid += 1;
        self.request.put_i32(self.last_xid);
        self.request.put_i32(kind);
        put_buffer(&mut self.request, format!("/{}", key_name(key)).as_bytes());
    }

    /// Sends the request that was put together, and takes the frame of the answer.
    async fn exchange(&mut self) -> anyhow::Result<()> {
        let length = u32::try_from(self.request.len() - 4)?;
        self.request[..4].copy_from_slice(&length.to_be_bytes());
        self.stream.write_all(&self.request).await?;
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).await?;
        self.answer.resize(u32::from_be_bytes(length) as usize, 0);
        self.stream.read_exact(&mut self.answer).await?;
        Ok(())
    }

    /// As [`Self::exchange`], for what has a header; gives the error's number.
    async fn answered(&mut self) -> anyhow::Result<(i32, &[u8])> {
        self.exchange().await?;
        let mut answer = self.answer.as_slice();
        ensure!(answer.len() >= 16, "the answer ends early");
        let xid = answer.get_i32();
        ensure!(
            xid == self.last_xid,
            "an answer to {xid}, expected {}",
            self.last_xid
        );
        answer.advance(8);
        let error = answer.get_i32();
        Ok((error, answer))
    }

    async fn create(&mut self, key: usize) -> anyhow::Result<()> {
        self.ask(CREATE, key);
        put_buffer(&mut self.request, &payload(0));
        self.request.put_i32(1);
        self.request.put_i32(ALL_RIGHTS);
        put_buffer(&mut self.request, b"world");
        put_buffer(&mut self.request, b"anyone");
        self.request.put_i32(0);
        match self.answered().await?.0 {
            0 | NODE_EXISTS => Ok(()),
            error => bail!("create: error {error}"),
        }
    }

    async fn get(&mut self, key: usize) -> anyhow::Result<Option<u64>> {
        self.ask(GET_DATA, key);
        self.request.put_u8(0);
        let (error, mut data) = self.answered().await?;
        ensure!(error == 0 && data.len() >= 4, "getData: error {error}");
        let length = data.get_i32().max(0) as usize;
        Ok(data.get(..length).and_then(payload_value))
    }

    pub(super) async fn set(&mut self, key: usize, value: u64) -> anyhow::Result<()> {
        self.ask(SET_DATA, key);
        put_buffer(&mut self.request, &payload(value));
        self.request.put_i32(ANY_VERSION);
        match self.answered().await?.0 {
            0 => Ok(()),
            error => bail!("setData: error {error}"),
        }
    }
}

fn put_buffer(request: &mut Vec<u8>, bytes: &[u8]) {
    request.put_i32(bytes.len() as i32);
    request.put_slice(bytes);
}
