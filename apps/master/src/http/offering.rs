//! What people ask about offers, `/tepui/v1/offers`, `/tepui/v1/why` and Mesos' `/allocator/offer_constraints_debug`,
//! about agents that make none, `/tepui/v1/absent-agents`, and who decides, `/tepui/v1/allocator`.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use tepui_http::{Incoming, Reply, ask, audit};
use tepui_messages::{
    allocator::{Policies, PolicyStatus},
    registrar::{Commit, Committed},
    view::Question,
    why::{Explain, ListExclusions, Thousandths},
};
use tepui_protocol::resources::Resources;

use super::MasterHttp;
use crate::chosen;

/// Of each list, unless the query says otherwise.
const LIMIT: usize = 100;
const MAX_LIMIT: usize = 10_000;
/// More than this of one resource no machine has.
const MAX_NEED: i64 = 1 << 50;

impl MasterHttp {
    pub(super) async fn offers(&self, request: &Incoming) -> Result<Reply, Reply> {
        request.expect_method(&["GET"])?;
        let question = Question::Offers {
            now: self.now(),
            most: limit(request)?,
        };
        self.read(request, question).await
    }

    pub(super) async fn absent_agents(&self, request: &Incoming) -> Result<Reply, Reply> {
        request.expect_method(&["GET"])?;
        let most = limit(request)?;
        self.read(request, Question::AbsentAgents { most }).await
    }

    pub(super) async fn why(&self, request: &Incoming) -> Result<Reply, Reply> {
        request.expect_method(&["GET"])?;
        let Some(framework_id) = request.parameter("framework_id") else {
            return Err(Reply::bad_request(
                "Missing 'framework_id' query parameter: the framework to explain, as `tepui frameworks` lists it"
                    .to_string(),
            ));
        };
        let role = request.parameter("role");
        let explain = Explain {
            framework_id: framework_id.to_string(),
            role: role.map(str::to_string),
            need: need(request)?,
            most: limit(request)?,
        };
        let explanation = ask(&self.allocator, explain).await?;
        if explanation.roles.is_empty() {
            let under = role.map_or(String::new(), |role| format!(" under role '{role}'"));
            return Err(Reply::text(
                404,
                format!(
                    "No framework '{framework_id}' takes offers{under}: `tepui frameworks` lists those known"
                ),
            ));
        }
        let question = Question::Why {
            now: self.now(),
            explanation: Box::new(explanation),
        };
        self.read(request, question).await
    }

    /// `POST` changes the policies of this leader and of those that follow it.
    pub(super) async fn allocator(&self, request: &Incoming) -> Result<Reply, Reply> {
        request.expect_method(&["GET", "POST"])?;
        let answer = self.chosen(request).await;
        if request.method == "POST" {
            let about = String::from_utf8_lossy(&request.body);
            audit::change(request, "allocator", &about, &answer);
        }
        answer
    }

    async fn chosen(&self, request: &Incoming) -> Result<Reply, Reply> {
        let mut change = Policies::default();
        if request.method == "POST" {
            let wanted: Wanted = serde_json::from_slice(&request.body).map_err(|error| {
                Reply::bad_request(format!(
                    "Failed to read the policies: {error}; expected {{\"policy\": \"drf\", \"shadow\": null}}, or one \
                     of the two"
                ))
            })?;
            change.policy = wanted.policy;
            change.shadow = wanted.shadow;
        }
        let changes = change != Policies::default();
        let told = ask(&self.policies, change).await?;
        let status = told.map_err(Reply::bad_request)?;
        if changes {
            self.keep(&status).await?;
        }
        let shadow = status.shadow.map(|shadow| {
            json!({
                "policy": shadow.policy,
                "runs": shadow.runs,
                "grants": shadow.grants,
                "differences": shadow.differences,
            })
        });
        let body = json!({
            "policy": status.policy,
            "policies": status.known,
            "runs": status.runs,
            "grants": status.grants,
            "shadow": shadow,
        });
        Ok(Reply::json(body.to_string(), request.parameter("jsonp")))
    }

    /// What was chosen holds here already; if it cannot be kept, whoever chose must know.
    async fn keep(&self, status: &PolicyStatus) -> Result<(), Reply> {
        let why = match ask(&self.commit, Commit(chosen::keep(status))).await? {
            Committed::Applied => return Ok(()),
            Committed::Refused(refusal) => refusal.to_string(),
            Committed::Unknown => "this master leads no more".to_string(),
        };
        let text = format!(
            "The policies are chosen as long as this master leads, but the next one may not know of them: {why}"
        );
        Err(Reply::text(503, text))
    }

    pub(super) async fn exclusions(&self, request: &Incoming) -> Result<Reply, Reply> {
        let listed = ask(&self.exclusions, ListExclusions).await?.into_iter();
        let frameworks = listed.map(|framework| {
            let told = json!({
                "suppressed_roles": framework.suppressed_roles,
                "excluded_by_attribute_constraints": framework.excluded,
            });
            (framework.framework_id, told)
        });
        let frameworks: Map<String, Value> = frameworks.collect();
        let body = json!({ "frameworks": frameworks }).to_string();
        Ok(Reply::json(body, request.parameter("jsonp")))
    }

    fn now(&self) -> i64 {
        i64::try_from(self.directory.clock().unix_nanos()).unwrap_or(i64::MAX)
    }
}

/// The body of a `POST`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    policy: Option<String>,
    /// `null` ends the comparison, which is another thing than not being there.
    #[serde(default, deserialize_with = "there")]
    shadow: Option<Option<String>>,
}

fn there<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(from).map(Some)
}

fn limit(request: &Incoming) -> Result<usize, Reply> {
    let Some(text) = request.parameter("limit") else {
        return Ok(LIMIT);
    };
    let limit = text.parse().ok().filter(|limit| *limit <= MAX_LIMIT);
    limit.ok_or_else(|| {
        Reply::bad_request(format!(
            "'limit' is '{text}'; expected a number up to {MAX_LIMIT}"
        ))
    })
}

/// `cpus:4;mem:512`, amounts only.
fn need(request: &Incoming) -> Result<Thousandths, Reply> {
    let Some(text) = request.parameter("need") else {
        return Ok(Thousandths::new());
    };
    let bad = |why: String| {
        Reply::bad_request(format!(
            "'need' is '{text}': {why}; expected amounts such as cpus:4;mem:512"
        ))
    };
    let needed = Resources::parse(text, "*").map_err(|error| bad(error.to_string()))?;
    let amounts = needed.iter().map(|entry| match entry.scalar() {
        Some(amount) if !entry.is_reserved() && amount.0 <= MAX_NEED => {
            Ok((entry.name().to_string(), amount.0))
        }
        _ => Err(bad(format!("{} is no unreserved amount", entry.name()))),
    });
    amounts.collect()
}
