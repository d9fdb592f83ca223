//! Whether ever two masters led: each is asked all the time whether it leads. One that says so, asked after another
//! one had already led in a later term, has not fallen silent before the other acted.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::bail;
use tepui_client::Client;
use tokio::{task::spawn_local, time::sleep};

use crate::lead;

const ASK_EVERY: Duration = Duration::from_millis(10);

/// A master's answer that it leads. It led at one moment at least between the two.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) master: String,
    pub(crate) term: u64,
    pub(crate) asked: Instant,
    pub(crate) answered: Instant,
}

/// What was answered, and the first answer that cannot be.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    /// Of each term who led, and the first answer that said so.
    terms: BTreeMap<u64, Claim>,
    broken: Option<String>,
}

impl Claims {
    /// Answers come in the order in which they were received.
    pub(crate) fn note(&mut self, claim: Claim) {
        let broken = self.contradiction(&claim);
        self.broken = self.broken.take().or(broken);
        self.terms.entry(claim.term).or_insert(claim);
    }

    fn contradiction(&self, claim: &Claim) -> Option<String> {
        let Claim { master, term, .. } = claim;
        if let Some(first) = self.terms.get(term).filter(|it| it.master != *master) {
            return Some(format!(
                "{} and {master} both led in term {term}",
                first.master
            ));
        }
        let mut later = self.terms.range(term + 1..).map(|(_, it)| it);
        let later = later.find(|it| it.answered < claim.asked)?;
        Some(format!(
            "{master}, asked {:?} after {} led in term {}, answered that it leads in term {term}",
            claim.asked - later.answered,
            later.master,
            later.term
        ))
    }

    pub(crate) fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }
}

/// Asks for as long as it lives.
#[derive(Debug, Clone)]
pub(crate) struct Witness(Arc<Mutex<Claims>>);

impl Witness {
    /// Goes on in the local set; `masters` are HTTP addresses, `host:port`.
    pub(crate) fn watch(masters: &[String]) -> Witness {
        let claims = Arc::<Mutex<Claims>>::default();
        for master in masters {
            let (claims, client) = (Arc::downgrade(&claims), Client::default());
            let master = master.clone();
            spawn_local(async move {
                loop {
                    let claim = ask(&client, &master).await;
                    let Some(claims) = claims.upgrade() else {
                        return;
                    };
                    if let Some(claim) = claim {
                        let mut claims = claims.lock().unwrap_or_else(PoisonError::into_inner);
                        claims.note(claim);
                    }
                    drop(claims);
                    sleep(ASK_EVERY).await;
                }
            });
        }
        Witness(claims)
    }

    /// # Errors
    /// Where two masters led at one time.
    pub(crate) fn verdict(&self) -> anyhow::Result<()> {
        let claims = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match claims.broken() {
            Some(text) => bail!("two masters led at one time: {text}"),
            None => Ok(()),
        }
    }
}

/// Whether this master says that it leads.
async fn ask(client: &Client, master: &str) -> Option<Claim> {
    let asked = Instant::now();
    let (leader, term) = lead::named_leader(client, master).await.ok()?;
    (lead::port(&leader) == lead::port(master)).then(|| Claim {
        master: master.to_owned(),
        term,
        asked,
        answered: Instant::now(),
    })
}

#[cfg(test)]
#[path = "witness_tests.rs"]
mod tests;
