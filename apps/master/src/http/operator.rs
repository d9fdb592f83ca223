//! `POST /api/v1` (Mesos: `master/http.cpp`, `Http::api`; docs/operator-http-api.md).

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream;
use tepui_http::{Incoming, MediaType, Reply, ask, audit};
use tepui_messages::{
    master::{Answer, OperatorCall},
    view::{Question, Watch},
};
use tepui_protocol::{
    acls::Action,
    v1::{
        Flag, Metric,
        master::{Call, Response, call::Type, response},
    },
    validate,
};
use tokio::sync::mpsc;

use super::{MasterHttp, encoding, leading::while_leading, said};

/// Records that may wait for one watcher.
const WATCH_RECORDS: usize = 1024;

impl MasterHttp {
    pub(super) async fn operator_call(&self, request: &Incoming) -> Result<Reply, Reply> {
        request.expect_method(&["POST"])?;
        let call: Call = MediaType::of_request(&request.headers)?.decode(&request.body)?;
        validate::master::call(&call).map_err(|reason| {
            Reply::bad_request(format!("Failed to validate master::Call: {reason}"))
        })?;
        let media = MediaType::of_answer(&request.headers)?;
        match call.r#type() {
            Type::Unknown => Err(Reply::bare(501)),
            Type::GetHealth
            | Type::GetFlags
            | Type::GetVersion
            | Type::GetMetrics
            | Type::GetLoggingLevel
            | Type::ListFiles
            | Type::ReadFile => Ok(media.reply(&self.own_answer(request, call).await?)),
            Type::SetLoggingLevel => {
                self.expect_allowed(request, Action::SetLogLevel)?;
                let set = call.set_logging_level.unwrap_or_default();
                let nanos = u64::try_from(set.duration.nanoseconds).unwrap_or(0);
                self.logging.set(set.level, Duration::from_nanos(nanos));
                let answer = Ok(Reply::empty(200));
                let about = set.level.to_string();
                audit::change(
                    request,
                    Type::SetLoggingLevel.as_str_name(),
                    &about,
                    &answer,
                );
                answer
            }
            kind @ (Type::GetState
            | Type::GetAgents
            | Type::GetFrameworks
            | Type::GetExecutors
            | Type::GetOperations
            | Type::GetTasks
            | Type::GetRoles
            | Type::GetWeights
            | Type::GetMaster
            | Type::GetMaintenanceStatus
            | Type::GetMaintenanceSchedule
            | Type::GetQuota) => {
                let encoding = encoding(media);
                let body = self
                    .question(Question::Call { kind, encoding }, self.viewer(request))
                    .await?;
                Ok(Reply::ok(media.as_str(), body))
            }
            Type::Subscribe => self.watch(request, media).await,
            _ => self.change(request, call).await,
        }
    }

    /// What needs no actor but for its numbers.
    async fn own_answer(&self, request: &Incoming, call: Call) -> Result<Response, Reply> {
        let mut answer = Response::default();
        let kind = match call.r#type() {
            Type::GetHealth => {
                answer.get_health = Some(response::GetHealth { healthy: true });
                response::Type::GetHealth
            }
            Type::GetFlags => {
                self.expect_allowed(request, Action::ViewFlags)?;
                let flag = |(name, value): (&String, &String)| Flag {
                    name: name.clone(),
                    value: Some(value.clone()),
                };
                let flags = self.facts.flags.iter().map(flag).collect();
                answer.get_flags = Some(response::GetFlags { flags });
                response::Type::GetFlags
            }
            Type::GetVersion => {
                let version_info = self.facts.version.clone();
                answer.get_version = Some(response::GetVersion { version_info });
                response::Type::GetVersion
            }
            Type::GetMetrics => {
                let metrics = self.metrics().await?.into_iter();
                let metrics = metrics.map(|(name, value)| Metric {
                    name,
                    value: value.as_f64(),
                });
                answer.get_metrics = Some(response::GetMetrics {
                    metrics: metrics.collect(),
                });
                response::Type::GetMetrics
            }
            Type::GetLoggingLevel => {
                let level = self.logging.level();
                answer.get_logging_level = Some(response::GetLoggingLevel { level });
                response::Type::GetLoggingLevel
            }
            Type::ListFiles => {
                self.expect_logs(request)?;
                let path = call.list_files.unwrap_or_default().path;
                let file_infos = self.files.list_call(path).await?;
                answer.list_files = Some(response::ListFiles { file_infos });
                response::Type::ListFiles
            }
            _ => {
                self.expect_logs(request)?;
                let read = call.read_file.unwrap_or_default();
                let part = self
                    .files
                    .read_call(read.path, read.offset, read.length)
                    .await?;
                answer.read_file = Some(response::ReadFile {
                    size: part.file_size,
                    data: part.data.into(),
                });
                response::Type::ReadFile
            }
        };
        answer.r#type = Some(kind as i32);
        Ok(answer)
    }

    /// A call that changes something, to the master and back.
    pub(super) async fn change(&self, request: &Incoming, call: Call) -> Result<Reply, Reply> {
        self.change_saying(request, call, said).await
    }

    /// As [`MasterHttp::change`], with words of its own.
    pub(super) async fn change_saying(
        &self,
        request: &Incoming,
        call: Call,
        say: impl FnOnce(Answer) -> Reply,
    ) -> Result<Reply, Reply> {
        let (kind, about) = (call.r#type(), serde_json::to_string(&call));
        let call = OperatorCall {
            principal: request.principal.clone(),
            call,
        };
        let answer = Box::pin(ask(&self.operator, call)).await.map(say);
        let about = about.unwrap_or_default();
        audit::change(request, kind.as_str_name(), &about, &answer);
        answer
    }

    async fn watch(&self, request: &Incoming, media: MediaType) -> Result<Reply, Reply> {
        let (records, receiver) = mpsc::channel(WATCH_RECORDS);
        let waiting = Arc::<AtomicUsize>::default();
        let watch = Watch {
            encoding: encoding(media),
            viewer: self.viewer(request),
            records,
            waiting: Arc::clone(&waiting),
            seat: None,
        };
        ask(&self.watch, watch).await?;
        let records = stream::unfold((receiver, waiting), |(mut receiver, waiting)| async {
            let record: Bytes = receiver.recv().await?;
            waiting.fetch_sub(record.len(), Relaxed);
            Some((
                Ok::<_, std::convert::Infallible>(record),
                (receiver, waiting),
            ))
        });
        let records = while_leading(Box::pin(records), self.leadership.clone());
        Ok(Reply::stream(media.as_str(), records))
    }
}
