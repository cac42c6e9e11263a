//! Pieces of an upload: sealed where they wait, and read as a whole that is what was announced, or not at all.

use tokio::io::AsyncReadExt;

use super::*;
use crate::{lake::copy::sha256, store::uploads::PieceRow};

const UPLOAD: &str = "upload-1";

async fn staged(world: &World, bytes: &[u8], each: usize) -> Vec<PieceRow> {
    let mut pieces = Vec::new();
    for (n, plain) in bytes.chunks(each).enumerate() {
        let at = (n * each) as u64;
        pieces.push(world.zone.stage_piece(&world.acme.scope, &world.acme.documents, UPLOAD, at, plain).await.unwrap());
    }
    pieces
}

async fn whole(world: &World, tenant: &Tenant, upload: &str, pieces: &[PieceRow], digest: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    world.zone.pieced(&tenant.scope, &tenant.documents, upload, pieces.to_vec(), digest).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

#[tokio::test]
async fn pieces_lie_sealed_make_up_the_whole_and_go_when_they_are_not_needed() {
    let world = World::on_disk().await;
    let plain = b"Entry Summary Number,Line Duty Amount\n".repeat(9_000);
    let pieces = staged(&world, &plain, 100_000).await;
    assert_eq!(pieces.iter().map(|piece| piece.size_bytes).sum::<u64>(), plain.len() as u64);
    for name in world.names().await {
        assert!(name.starts_with("tenants/acme-toys/raw/staging/"), "{name}");
        let stored = world.stored(&name).await;
        assert!(!stored.windows(10).any(|window| window == b"Entry Summ"), "{name} lies in the clear");
    }
    assert_eq!(whole(&world, &world.acme, UPLOAD, &pieces, &sha256(&plain)).await.unwrap(), plain);
    let landed = world.land(&world.acme, &plain).await.unwrap();
    assert_eq!(RawZone::name_of(&world.acme.names, &sha256(&plain)).unwrap(), landed.keyed_digest);
    world.zone.unstage_pieces(&world.acme.scope, &pieces).await;
    world.zone.unstage_pieces(&world.acme.scope, &pieces).await;
    assert_eq!(world.names().await, [landed.path]);
    for wrong in ["", "00", &"g".repeat(64), &"0".repeat(63), &"A".repeat(64)] {
        assert_eq!(RawZone::name_of(&world.acme.names, wrong).unwrap_err().kind(), ErrorKind::Input);
    }
}

#[tokio::test]
async fn what_is_not_the_announced_whole_does_not_read_to_its_end() {
    let world = World::in_memory().await;
    let plain = sample(3_000);
    let pieces = staged(&world, &plain, 1_000).await;
    let digest = sha256(&plain);
    let invalid = async |tenant: &Tenant, upload: &str, pieces: &[PieceRow], digest: &str| {
        let error = whole(&world, tenant, upload, pieces, digest).await.expect_err("not the whole");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
    };
    invalid(&world.acme, UPLOAD, &pieces, &sha256(b"another")).await;
    invalid(&world.acme, UPLOAD, &pieces[..2], &digest).await;
    invalid(&world.acme, "upload-2", &pieces, &digest).await;
    invalid(&world.globex, UPLOAD, &pieces, &digest).await;
    // The second piece in the place of the first.
    let moved = [PieceRow { offset_bytes: 0, ..pieces[1].clone() }, pieces[1].clone(), pieces[2].clone()];
    invalid(&world.acme, UPLOAD, &moved, &digest).await;
    let path = format!("tenants/acme-toys/raw/staging/{}", pieces[1].name);
    let mut altered = world.stored(&path).await.to_vec();
    altered[40] ^= 1;
    world.overwrite(&path, altered).await;
    invalid(&world.acme, UPLOAD, &pieces, &digest).await;
    world.zone.unstage_pieces(&world.acme.scope, &pieces[1..2]).await;
    invalid(&world.acme, UPLOAD, &pieces, &digest).await;
}
