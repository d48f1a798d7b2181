use std::net::Ipv4Addr;

use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::*;
use crate::world::World;

const SOON: Duration = Duration::from_secs(10);
/// Long enough that an answer would have come, were there one.
const SHORT: Duration = Duration::from_millis(200);

fn question(name: &str, record_type: RecordType) -> Message {
    let mut message = Message::query();
    message.metadata.id = 4711;
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(absolute(name), record_type.wire()));
    message
}

async fn ask(names: &Names, question: &Message) -> Option<Message> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(&question.to_vec().unwrap(), names.address()).await.unwrap();
    let mut buffer = vec![0; 4096];
    let length = timeout(SHORT * 5, socket.recv(&mut buffer)).await.ok()?.unwrap();
    Some(Message::from_vec(&buffer[..length]).unwrap())
}

async fn ask_tcp(names: &Names, question: &Message) -> Message {
    let mut stream = TcpStream::connect(names.address()).await.unwrap();
    let bytes = question.to_vec().unwrap();
    let length = u16::try_from(bytes.len()).unwrap();
    stream.write_all(&length.to_be_bytes()).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    let length = usize::from(stream.read_u16().await.unwrap());
    let mut buffer = vec![0; length];
    stream.read_exact(&mut buffer).await.unwrap();
    Message::from_vec(&buffer).unwrap()
}

async fn answer(names: &Names, name: &str, record_type: RecordType) -> Message {
    ask(names, &question(name, record_type)).await.expect("an answer")
}

fn told(message: &Message) -> Vec<String> {
    message.answers.iter().map(|record| format!("{} {}", record.name, record.data)).collect()
}

#[tokio::test]
async fn records_may_be_added_and_removed_while_the_server_runs() {
    let world = World::new().await;
    let names = world.names();
    let none = answer(names, "example.test", RecordType::Mx).await;
    assert_eq!(none.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(none.authorities.len(), 1, "a negative answer carries an SOA");

    names.add_mx("Example.Test.", 10, "mx1.example.test");
    names.add_mx("example.test", 20, "mx2.example.test");
    let some = answer(names, "EXAMPLE.test", RecordType::Mx).await;
    assert_eq!(
        told(&some),
        ["EXAMPLE.test. 10 mx1.example.test.", "EXAMPLE.test. 20 mx2.example.test."]
    );
    assert!(some.metadata.recursion_available);
    assert_eq!(some.answers[0].ttl, 0);

    let no_data = answer(names, "example.test", RecordType::A).await;
    assert_eq!(no_data.metadata.response_code, ResponseCode::NoError);
    assert!(no_data.answers.is_empty());

    names.remove("example.test", RecordType::Mx);
    let gone = answer(names, "example.test", RecordType::Mx).await;
    assert_eq!(gone.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(names.queries("example.test"), 4);
    assert_eq!(names.queries_of("example.test", RecordType::A), 1);
}

#[tokio::test]
async fn a_chain_of_cnames_is_answered_with_its_end() {
    let world = World::new().await;
    let names = world.names();
    names.add_cname("one.test", "two.test");
    names.add_cname("two.test", "three.test");
    names.add_address("three.test", Ipv4Addr::LOCALHOST.into());
    let chain = answer(names, "one.test", RecordType::A).await;
    let expected = ["one.test. two.test.", "two.test. three.test.", "three.test. 127.0.0.1"];
    assert_eq!(told(&chain), expected);

    names.remove_all("three.test");
    let dangling = answer(names, "one.test", RecordType::A).await;
    assert_eq!(dangling.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(dangling.answers.len(), 2);

    names.add_cname("loop.test", "loop.test");
    let endless = answer(names, "loop.test", RecordType::A).await;
    assert_eq!(endless.metadata.response_code, ResponseCode::ServFail);
}

#[tokio::test]
async fn every_fault_shows_and_can_be_mended() {
    let world = World::new().await;
    let names = world.names();
    names.add_txt("name.test", "text");
    for (fault, code) in [
        (Fault::ServFail, ResponseCode::ServFail),
        (Fault::Refused, ResponseCode::Refused),
        (Fault::NxDomain, ResponseCode::NXDomain),
        (Fault::NoData, ResponseCode::NoError),
    ] {
        names.fail("name.test", fault);
        let failed = answer(names, "name.test", RecordType::Txt).await;
        assert_eq!(failed.metadata.response_code, code, "{fault:?}");
        assert!(failed.answers.is_empty(), "{fault:?}");
    }
    names.fail("name.test", Fault::Silence);
    assert!(ask(names, &question("name.test", RecordType::Txt)).await.is_none());
    assert_eq!(names.queries("name.test"), 5, "an unanswered question counts");

    names.mend("name.test");
    names.fail_type("name.test", RecordType::A, Fault::ServFail);
    assert_eq!(answer(names, "name.test", RecordType::Txt).await.answers.len(), 1);
    let failed = answer(names, "name.test", RecordType::A).await;
    assert_eq!(failed.metadata.response_code, ResponseCode::ServFail);
}

#[tokio::test]
async fn an_alias_may_be_told_alone() {
    let world = World::new().await;
    let names = world.names();
    names.add_cname("alias.test", "target.test");
    names.add_txt("target.test", "text");
    names.fail("alias.test", Fault::AliasAlone);
    let alone = answer(names, "alias.test", RecordType::Txt).await;
    assert_eq!(told(&alone), ["alias.test. target.test."]);
    assert!(alone.authorities.is_empty(), "that would say that there is nothing at its end");
}

#[tokio::test]
async fn a_fault_at_the_end_of_a_chain_is_a_fault_of_the_whole() {
    let world = World::new().await;
    let names = world.names();
    names.add_cname("alias.test", "target.test");
    names.fail("target.test", Fault::ServFail);
    let failed = answer(names, "alias.test", RecordType::Txt).await;
    assert_eq!(failed.metadata.response_code, ResponseCode::ServFail);
}

#[tokio::test]
async fn a_delayed_answer_comes_late() {
    let world = World::new().await;
    let names = world.names();
    names.add_txt("late.test", "text");
    names.fail("late.test", Fault::Delay(SHORT));
    let asked = tokio::time::Instant::now();
    assert_eq!(answer(names, "late.test", RecordType::Txt).await.answers.len(), 1);
    assert!(asked.elapsed() >= SHORT);
}

#[tokio::test]
async fn an_answer_too_long_for_udp_is_truncated_and_whole_over_tcp() {
    let world = World::new().await;
    let names = world.names();
    names.add_txt("long.test", &"x".repeat(3000));
    let mut question = question("long.test", RecordType::Txt);
    let mut edns = Edns::new();
    edns.set_max_payload(1232);
    question.set_edns(edns);
    let cut = ask(names, &question).await.unwrap();
    assert!(cut.metadata.truncation);
    let whole = ask_tcp(names, &question).await;
    assert!(!whole.metadata.truncation);
    let RData::TXT(txt) = &whole.answers[0].data else { panic!("not a TXT record") };
    let joined: usize = txt.txt_data.iter().map(|string| string.len()).sum();
    assert_eq!((joined, txt.txt_data.len()), (3000, 12));
}

#[tokio::test]
async fn the_ad_bit_is_set_for_authenticated_names_when_it_is_asked_for() {
    let world = World::new().await;
    let names = world.names();
    names.add_txt("a.signed.test", "text");
    names.add_txt("unsigned.test", "text");
    names.add_cname("b.signed.test", "unsigned.test");
    names.authenticate("signed.test");
    let mut wanting = question("a.signed.test", RecordType::Txt);
    assert!(!ask(names, &wanting).await.unwrap().metadata.authentic_data);
    let mut edns = Edns::new();
    edns.enable_dnssec();
    wanting.set_edns(edns.clone());
    assert!(ask(names, &wanting).await.unwrap().metadata.authentic_data);
    for insecure in ["unsigned.test", "b.signed.test", "notsigned.test"] {
        let mut wanting = question(insecure, RecordType::Txt);
        wanting.set_edns(edns.clone());
        let answer = ask(names, &wanting).await.unwrap();
        assert!(!answer.metadata.authentic_data, "{insecure}");
    }
}

#[tokio::test]
async fn a_wildcard_stands_for_names_that_are_not_there() {
    let world = World::new().await;
    let names = world.names();
    names.add_txt("*.wild.test", "wild");
    names.add_txt("there.wild.test", "own");
    names.add_txt("below.empty.wild.test", "own");
    assert_eq!(told(&answer(names, "x.wild.test", RecordType::Txt).await), ["x.wild.test. wild"]);
    assert_eq!(told(&answer(names, "a.b.wild.test", RecordType::Txt).await).len(), 1);
    let own = answer(names, "there.wild.test", RecordType::Txt).await;
    assert_eq!(told(&own), ["there.wild.test. own"]);
    let shadowed = answer(names, "empty.wild.test", RecordType::Txt).await;
    assert_eq!(shadowed.metadata.response_code, ResponseCode::NoError);
    assert!(shadowed.answers.is_empty(), "an empty non-terminal is there");
}

#[tokio::test]
async fn queries_can_be_waited_for() {
    let world = World::new().await;
    let names = world.names().clone();
    let (waited, _) = tokio::join!(names.wait_for_queries("name.test", 2, SOON), async {
        answer(&names, "name.test", RecordType::A).await;
        answer(&names, "name.test", RecordType::Aaaa).await
    });
    assert_eq!(waited, Ok(()));
    assert_eq!(names.wait_for_queries("name.test", 3, SHORT).await, Err(2));
}

#[tokio::test]
async fn a_tlsa_record_is_what_was_given() {
    let world = World::new().await;
    world.names().add_tlsa("_25._tcp.mx.test", (3, 1, 1), &[1, 2, 3]);
    let answer = answer(world.names(), "_25._tcp.mx.test", RecordType::Tlsa).await;
    let RData::TLSA(tlsa) = &answer.answers[0].data else { panic!("not a TLSA record") };
    let fields = (u8::from(tlsa.cert_usage), u8::from(tlsa.selector), u8::from(tlsa.matching));
    assert_eq!((fields, tlsa.cert_data.as_slice()), ((3, 1, 1), &[1, 2, 3][..]));
}
