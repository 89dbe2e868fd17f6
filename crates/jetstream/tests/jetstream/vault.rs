//! The vault: what is put is there until it is erased, and then nowhere.

use std::fs;
use std::path::Path;
use std::time::Duration;

use agent_otp_domain::{Digest, RequestKey, SealedCode};
use agent_otp_jetstream::provision::{Settings, VaultStorage, ensure_vault, provision};
use agent_otp_jetstream::{Vault, Who, clock};
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};

use crate::events::{request, request_of};
use crate::world::{World, eventually};

const RELAY: Who = Who::Operator("relay");
const TTL: Duration = Duration::from_mins(5);

#[tokio::test]
async fn what_was_put_is_read_until_it_is_erased() {
    let world = World::start(&[]).await;
    let (vault, key, (digest, sealed)) = (vault(&world).await, request(), sealed());
    assert_eq!(vault.read(&key, &digest).await.unwrap(), None);
    vault.put(&key, &digest, &sealed, TTL).await.unwrap();
    assert_eq!(vault.read(&key, &digest).await.unwrap(), Some(sealed.clone()));
    assert_eq!(vault.read(&request(), &digest).await.unwrap(), None);
    vault.erase(&key).await.unwrap();
    assert_eq!(vault.read(&key, &digest).await.unwrap(), None);
    vault.erase(&key).await.unwrap();
    vault.put(&key, &digest, &sealed, TTL).await.unwrap();
    assert_eq!(
        vault.read(&key, &digest).await.unwrap(),
        Some(sealed),
        "what was erased may be brought again"
    );
}

#[tokio::test]
async fn what_is_there_stays_as_it_is() {
    let world = World::start(&[]).await;
    let (vault, key, (digest, first)) = (vault(&world).await, request(), sealed());
    vault.put(&key, &digest, &first, TTL).await.unwrap();
    vault.put(&key, &digest, &SealedCode::new(vec![0; 304]), TTL).await.unwrap();
    assert_eq!(vault.read(&key, &digest).await.unwrap(), Some(first));
}

#[tokio::test]
async fn what_does_not_fit_its_digest_is_not_served() {
    let world = World::start(&[]).await;
    let (vault, key, (digest, _)) = (vault(&world).await, request(), sealed());
    vault.put(&key, &digest, &SealedCode::new(vec![0; 304]), TTL).await.unwrap();
    assert_eq!(vault.read(&key, &digest).await.unwrap(), None);
}

#[tokio::test]
async fn erasing_a_request_spares_all_others_and_erasing_an_orphan_spares_its_sibling() {
    let world = World::start(&[]).await;
    let vault = vault(&world).await;
    let (key, other, (kept, code), (orphan, second)) = (request(), request(), sealed(), sealed());
    for (key, digest, sealed) in [(&key, &kept, &code), (&key, &orphan, &second), (&other, &kept, &code)] {
        vault.put(key, digest, sealed, TTL).await.unwrap();
    }
    vault.erase_one(&key, &orphan).await.unwrap();
    assert_eq!(vault.read(&key, &orphan).await.unwrap(), None);
    assert_eq!(vault.read(&key, &kept).await.unwrap(), Some(code.clone()));
    vault.put(&key, &orphan, &second, TTL).await.unwrap();
    vault.erase(&key).await.unwrap();
    assert_eq!(
        (vault.read(&key, &kept).await.unwrap(), vault.read(&key, &orphan).await.unwrap()),
        (None, None)
    );
    assert_eq!(vault.read(&other, &kept).await.unwrap(), Some(code));
}

#[tokio::test]
async fn a_sealed_code_is_gone_when_its_time_has_run_out() {
    let world = World::start(&[]).await;
    let (vault, key, (digest, sealed)) = (vault(&world).await, request(), sealed());
    vault.put(&key, &digest, &sealed, Duration::from_secs(1)).await.unwrap();
    assert_eq!(vault.read(&key, &digest).await.unwrap(), Some(sealed));
    eventually(async || vault.read(&key, &digest).await.unwrap().is_none().then_some(())).await;
}

#[tokio::test]
async fn no_file_ever_holds_a_sealed_code_that_is_kept_in_memory() {
    let mut world = World::start(&[]).await;
    let (vault, key, (digest, sealed)) = (vault(&world).await, request(), sealed());
    vault.put(&key, &digest, &sealed, TTL).await.unwrap();
    assert_eq!(files_holding(world.files(), &sealed), Vec::<String>::new());
    vault.erase(&key).await.unwrap();
    assert_eq!(files_holding(world.files(), &sealed), Vec::<String>::new());
    vault.put(&key, &digest, &sealed, TTL).await.unwrap();
    world.stop().await;
    assert_eq!(files_holding(world.files(), &sealed), Vec::<String>::new());
}

#[tokio::test]
async fn a_sealed_code_that_is_kept_in_a_file_is_gone_from_it_once_erased() {
    let world = World::bare(&[]).await;
    let settings = Settings { vault: VaultStorage::File, ..Settings::default() };
    provision(&world.connect(&Who::Operator("provision")).await, settings).await.unwrap();
    let (vault, key, other) = (vault(&world).await, request(), request());
    let ((digest, sealed), (kept, code)) = (sealed(), sealed());
    vault.put(&key, &digest, &sealed, TTL).await.unwrap();
    vault.put(&other, &kept, &code, TTL).await.unwrap();
    assert_eq!(files_holding(world.files(), &sealed).len(), 1, "the search finds what is there");
    vault.erase(&key).await.unwrap();
    assert_eq!(files_holding(world.files(), &sealed), Vec::<String>::new());
    assert_eq!(vault.read(&other, &kept).await.unwrap(), Some(code));
}

#[tokio::test]
async fn a_vault_that_vanished_with_a_restart_is_empty_and_fills_again_once_it_is_made() {
    let mut world = World::start(&[]).await;
    let relay = world.connect(&RELAY).await;
    let (vault, key, (digest, sealed)) = (Vault::new(relay.clone()), request(), sealed());
    vault.put(&key, &digest, &sealed, TTL).await.unwrap();
    world.stop().await;
    vault.read(&key, &digest).await.unwrap_err();
    world.resume().await;
    let read = eventually(async || vault.read(&key, &digest).await.ok()).await;
    assert_eq!(read, None, "the code is gone, which is another thing than a broker that does not answer");
    vault.erase(&key).await.unwrap();
    vault.put(&key, &digest, &sealed, TTL).await.unwrap_err();
    ensure_vault(&relay, Settings::default()).await.unwrap();
    vault.put(&key, &digest, &sealed, TTL).await.unwrap();
    assert_eq!(vault.read(&key, &digest).await.unwrap(), Some(sealed));
}

#[tokio::test]
async fn two_agents_with_the_same_request_id_have_two_codes() {
    let world = World::start(&[]).await;
    let (vault, one) = (vault(&world).await, request());
    let two = RequestKey { request: one.request, ..request_of(&one.owner, "booker") };
    let (digest, sealed) = sealed();
    vault.put(&one, &digest, &sealed, TTL).await.unwrap();
    assert_eq!(vault.read(&two, &digest).await.unwrap(), None);
    vault.erase(&two).await.unwrap();
    assert_eq!(vault.read(&one, &digest).await.unwrap(), Some(sealed));
}

async fn vault(world: &World) -> Vault {
    Vault::new(world.connect(&RELAY).await)
}

/// A sealed code like no other, and its digest.
fn sealed() -> (Digest, SealedCode) {
    let bytes: [u8; 304] = clock::random();
    (Digest::of(&[&bytes]), SealedCode::new(bytes.to_vec()))
}

/// The files that hold the middle of a sealed code, as it is or as text.
fn files_holding(dir: &Path, sealed: &SealedCode) -> Vec<String> {
    // From a multiple of three, so that its base64 is a part of the whole's.
    let part = sealed.as_bytes().get(96..192).unwrap();
    let hidden = [
        part.to_vec(),
        HEXLOWER.encode(part).into_bytes(),
        HEXUPPER.encode(part).into_bytes(),
        BASE64.encode(part).into_bytes(),
        BASE64URL_NOPAD.encode(part).into_bytes(),
    ];
    let holds = |bytes: &[u8]| {
        hidden.iter().any(|part| bytes.windows(part.len()).any(|window| window == part.as_slice()))
    };
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match fs::read(&path) {
            _ if path.is_dir() => files_holding(&path, sealed),
            Ok(bytes) if holds(&bytes) => vec![path.display().to_string()],
            // Not there any more: the server renames and removes as it writes.
            Ok(_) | Err(_) => Vec::new(),
        })
        .collect()
}
