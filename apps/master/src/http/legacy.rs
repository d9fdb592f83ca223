//! The old endpoints that change something: each becomes the operator call of today (Mesos: `master/http.cpp`).

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tepui_http::{Incoming, Reply};
use tepui_messages::{master::Answer, view::Question};
use tepui_protocol::{
    codec::{Limits, json},
    descriptor::Described,
    v1::{
        AgentId, FrameworkId, MachineId, Resource, WeightInfo,
        maintenance::Schedule,
        master::{Call, call, call::Type},
        quota::QuotaRequest,
    },
};

use super::{MasterHttp, routes::Route, said};

impl MasterHttp {
    pub(super) async fn weights(&self, request: &Incoming) -> Result<Reply, Reply> {
        request.expect_method(&["GET", "PUT"])?;
        if request.method == "GET" {
            return self.read(request, Question::Weights).await;
        }
        let weight_infos: Vec<WeightInfo> = parse_list(&request.body).map_err(|bad| {
            let body = String::from_utf8_lossy(&request.body);
            Reply::bad_request(match bad {
                Bad::Syntax(reason) => {
                    format!("Failed to parse update weights request JSON '{body}': {reason}")
                }
                Bad::Type(reason) => {
                    format!("Failed to convert weights JSON array to protobuf '{body}': {reason}")
                }
            })
        })?;
        let mut call = of(Type::UpdateWeights);
        call.update_weights = Some(call::UpdateWeights { weight_infos });
        self.change(request, call).await
    }

    /// `rest` is the role of a DELETE.
    pub(super) async fn quota(
        &self,
        request: &Incoming,
        rest: Option<&str>,
    ) -> Result<Reply, Reply> {
        request.expect_method(&["GET", "POST", "DELETE"])?;
        match request.method.as_str() {
            "GET" => self.read(request, Question::Quota).await,
            "POST" => {
                let quota_request: QuotaRequest = parse(&request.body).map_err(|bad| {
                    let body = String::from_utf8_lossy(&request.body);
                    let reason = bad.reason();
                    Reply::bad_request(format!(
                        "Failed to parse set quota request JSON '{body}': {reason}"
                    ))
                })?;
                let mut call = of(Type::SetQuota);
                call.set_quota = Some(call::SetQuota { quota_request });
                self.change(request, call).await
            }
            _ => self.remove_quota(request, rest.unwrap_or_default()).await,
        }
    }

    async fn remove_quota(&self, request: &Incoming, rest: &str) -> Result<Reply, Reply> {
        let tokens: Vec<&str> = rest.split('/').filter(|token| !token.is_empty()).collect();
        let path = ["/master/quota"].into_iter().chain(tokens.iter().copied());
        let path = path.collect::<Vec<_>>().join("/");
        let [role] = tokens[..] else {
            let found = tokens.len() + 2;
            return Err(Reply::bad_request(format!(
                "Failed to parse remove quota request for path '{path}': expected 3 tokens, found {found} tokens"
            )));
        };
        let mut call = of(Type::RemoveQuota);
        call.remove_quota = Some(call::RemoveQuota {
            role: role.to_string(),
        });
        let say = |mut answer: Answer| {
            if let Some(reason) = answer.text.strip_prefix("Failed to remove quota: ") {
                answer.text = format!("Failed to remove quota for path '{path}': {reason}");
            }
            said(answer)
        };
        self.change_saying(request, call, say).await
    }

    pub(super) async fn maintenance_schedule(&self, request: &Incoming) -> Result<Reply, Reply> {
        request.expect_method(&["GET", "POST"])?;
        if request.method == "GET" {
            return self.read(request, Question::MaintenanceSchedule).await;
        }
        let schedule: Schedule =
            parse(&request.body).map_err(|bad| Reply::bad_request(bad.reason()))?;
        let mut call = of(Type::UpdateMaintenanceSchedule);
        call.update_maintenance_schedule = Some(call::UpdateMaintenanceSchedule { schedule });
        self.change(request, call).await
    }

    /// `/machine/up` and `/machine/down`.
    pub(super) async fn machines(&self, request: &Incoming, up: bool) -> Result<Reply, Reply> {
        request.expect_method(&["POST"])?;
        let machines: Vec<MachineId> =
            parse_list(&request.body).map_err(|bad| Reply::bad_request(bad.reason()))?;
        let call = if up {
            Call {
                stop_maintenance: Some(call::StopMaintenance { machines }),
                ..of(Type::StopMaintenance)
            }
        } else {
            Call {
                start_maintenance: Some(call::StartMaintenance { machines }),
                ..of(Type::StartMaintenance)
            }
        };
        self.change(request, call).await
    }

    pub(super) async fn teardown(&self, request: &Incoming) -> Result<Reply, Reply> {
        request.expect_method(&["POST"])?;
        let form = request.form()?;
        let framework_id = FrameworkId {
            value: field(&form, "frameworkId")?.to_string(),
        };
        let mut call = of(Type::Teardown);
        call.teardown = Some(call::Teardown { framework_id });
        self.change(request, call).await
    }

    /// `/reserve`, `/unreserve`, `/create-volumes` and `/destroy-volumes`.
    pub(super) async fn change_resources(
        &self,
        request: &Incoming,
        route: Route,
    ) -> Result<Reply, Reply> {
        request.expect_method(&["POST"])?;
        let form = request.form()?;
        let agent_id = AgentId {
            value: field(&form, "slaveId")?.to_string(),
        };
        let list = if matches!(route, Route::Reserve | Route::Unreserve) {
            "resources"
        } else {
            "volumes"
        };
        let resources = resources(&form, list)?;
        let call = match route {
            Route::Reserve => {
                let source = if form.contains_key("source") {
                    self::resources(&form, "source")?
                } else {
                    Vec::new()
                };
                Call {
                    reserve_resources: Some(call::ReserveResources {
                        agent_id,
                        source,
                        resources,
                    }),
                    ..of(Type::ReserveResources)
                }
            }
            Route::Unreserve => Call {
                unreserve_resources: Some(call::UnreserveResources {
                    agent_id,
                    resources,
                }),
                ..of(Type::UnreserveResources)
            },
            Route::CreateVolumes => Call {
                create_volumes: Some(call::CreateVolumes {
                    agent_id,
                    volumes: resources,
                }),
                ..of(Type::CreateVolumes)
            },
            _ => Call {
                destroy_volumes: Some(call::DestroyVolumes {
                    agent_id,
                    volumes: resources,
                }),
                ..of(Type::DestroyVolumes)
            },
        };
        self.change(request, call).await
    }
}

fn of(kind: Type) -> Call {
    Call {
        r#type: Some(kind as i32),
        ..Call::default()
    }
}

fn field<'a>(form: &'a BTreeMap<String, String>, name: &str) -> Result<&'a str, Reply> {
    let value = form.get(name).map(String::as_str);
    value.ok_or_else(|| {
        Reply::bad_request(format!(
            "Missing '{name}' query parameter in the request body"
        ))
    })
}

fn resources(form: &BTreeMap<String, String>, name: &str) -> Result<Vec<Resource>, Reply> {
    parse_list(field(form, name)?.as_bytes()).map_err(|bad| {
        let reason = bad.reason();
        Reply::bad_request(format!(
            "Error in parsing '{name}' query parameter in the request body: {reason}"
        ))
    })
}

/// Why a body is not what was expected, without the prefix of the v1 API.
enum Bad {
    /// No JSON, or not of the expected kind.
    Syntax(String),
    /// JSON, but not this message.
    Type(String),
}

impl Bad {
    fn reason(self) -> String {
        match self {
            Bad::Syntax(reason) | Bad::Type(reason) => reason,
        }
    }
}

impl From<json::Error> for Bad {
    fn from(error: json::Error) -> Self {
        match error {
            json::Error::Syntax(reason) => Bad::Syntax(reason),
            json::Error::Convert { reason, .. } => Bad::Type(reason),
        }
    }
}

fn parse<T: DeserializeOwned + Described>(body: &[u8]) -> Result<T, Bad> {
    Ok(json::decode(body, &Limits::HTTP)?)
}

fn parse_list<T: DeserializeOwned + Described>(body: &[u8]) -> Result<Vec<T>, Bad> {
    let values = match serde_json::from_slice(body) {
        Ok(Value::Array(values)) => values,
        Ok(_) => return Err(Bad::Syntax("Unexpected JSON type parsed".to_string())),
        // The codec knows how Mesos says it.
        Err(error) => {
            return Err(parse::<T>(body)
                .err()
                .unwrap_or_else(|| Bad::Syntax(error.to_string())));
        }
    };
    values
        .iter()
        .map(|value| parse(value.to_string().as_bytes()))
        .collect()
}
