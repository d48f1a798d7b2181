use tokio::time::Instant;

use super::*;
use crate::message::Answer;

#[tokio::test]
async fn every_step_may_be_answered_otherwise() {
    let world = World::new().await;
    for (step, refused) in [
        (Step::Ehlo, "EHLO client.test"),
        (Step::MailFrom, "MAIL FROM:<a@a.test>"),
        (Step::RcptTo, "RCPT TO:<b@b.test>"),
        (Step::Data, "DATA"),
    ] {
        let mx =
            world.mx(NAME, MxBehaviour::valid().at(step, "451-4.3.0 not\r\n451 4.3.0 now")).await;
        let mut sender = Sender::connect(mx.address()).await.unwrap();
        for command in ["EHLO client.test", "MAIL FROM:<a@a.test>", "RCPT TO:<b@b.test>", "DATA"] {
            let reply = sender.command(command).await.unwrap();
            if command == refused {
                assert_eq!(reply.to_string(), "451 4.3.0 not\n4.3.0 now");
                break;
            }
            assert!(reply.is_positive(), "{command}");
        }
    }
}

#[tokio::test]
async fn a_message_refused_at_its_end_is_not_taken() {
    let world = World::new().await;
    for reply in ["452 4.3.1 full", "554 5.6.0 bad"] {
        let mx = world.mx(NAME, MxBehaviour::valid().at(Step::EndOfData, reply)).await;
        assert_eq!(send(&mut greeted(&mx).await, TEXT).await.to_string(), reply);
        assert!(mx.messages().is_empty());
    }
}

#[tokio::test]
async fn a_greeting_that_refuses_leaves_only_quit() {
    let world = World::new().await;
    for reply in ["421 4.3.2 closing", "554 5.7.1 go away"] {
        let mx = world.mx(NAME, MxBehaviour::valid().at(Step::Greeting, reply)).await;
        let mut sender = Sender::connect(mx.address()).await.unwrap();
        assert_eq!(sender.greeting().to_string(), reply);
        assert_eq!(sender.ehlo("client.test").await.unwrap().code, 503);
        assert_eq!(sender.command("QUIT").await.unwrap().code, 221);
    }
}

#[tokio::test]
async fn ehlo_may_be_refused_and_helo_taken() {
    let world = World::new().await;
    let mx = world.mx(NAME, MxBehaviour::valid().at(Step::Ehlo, "502 5.5.1 what?")).await;
    let mut sender = Sender::connect(mx.address()).await.unwrap();
    assert_eq!(sender.ehlo("client.test").await.unwrap().code, 502);
    assert_eq!(sender.command("HELO client.test").await.unwrap().code, 250);
    assert!(send(&mut sender, TEXT).await.is_positive());
}

#[tokio::test]
async fn one_recipient_may_be_refused_and_the_others_taken() {
    let world = World::new().await;
    let behaviour = MxBehaviour::valid().for_recipient("no@example.test", "550 5.1.1 unknown");
    let mx = world.mx(NAME, behaviour).await;
    let mut sender = greeted(&mx).await;
    sender.mail("<a@client.test>").await.unwrap();
    assert_eq!(sender.rcpt("<NO@example.test>").await.unwrap().code, 550);
    assert_eq!(sender.rcpt("<yes@example.test>").await.unwrap().code, 250);
    assert!(sender.data(TEXT).await.unwrap().is_positive());
    assert_eq!(mx.messages()[0].recipients, ["yes@example.test"]);
}

#[tokio::test]
async fn a_fault_may_happen_only_so_often() {
    let world = World::new().await;
    let mx = world.mx(NAME, MxBehaviour::valid().first(2, Step::MailFrom, "450 4.2.0 later")).await;
    let mut codes = Vec::new();
    for _ in 0..3 {
        codes.push(greeted(&mx).await.mail("<a@a.test>").await.unwrap().code);
    }
    assert_eq!(codes, [450, 450, 250]);
}

#[tokio::test]
async fn greylisting_turns_every_pair_away_once() {
    let world = World::new().await;
    let mx = world.mx(NAME, MxBehaviour::greylisting()).await;
    let mut sender = greeted(&mx).await;
    sender.mail("<a@client.test>").await.unwrap();
    for (recipient, code) in [("<b@b.test>", 451), ("<c@b.test>", 451), ("<b@b.test>", 250)] {
        assert_eq!(sender.rcpt(recipient).await.unwrap().code, code, "{recipient}");
    }
    sender.command("RSET").await.unwrap();
    sender.mail("<other@client.test>").await.unwrap();
    assert_eq!(sender.rcpt("<b@b.test>").await.unwrap().code, 451);
}

#[tokio::test]
async fn the_connection_may_drop_at_every_step() {
    let world = World::new().await;
    let steps = [Step::Greeting, Step::Ehlo, Step::MailFrom, Step::RcptTo, Step::Data];
    for (reached, step) in steps.into_iter().enumerate() {
        let mx = world.mx(NAME, MxBehaviour::valid().at(step, Act::Drop)).await;
        let mut told = 0;
        if let Ok(mut sender) = Sender::connect(mx.address()).await {
            told += 1;
            for command in
                ["EHLO client.test", "MAIL FROM:<a@a.test>", "RCPT TO:<b@b.test>", "DATA"]
            {
                if sender.command(command).await.is_err() {
                    break;
                }
                told += 1;
            }
        }
        assert_eq!(told, reached, "{step:?}");
    }
}

#[tokio::test]
async fn the_connection_may_drop_around_the_final_dot() {
    let world = World::new().await;
    for (step, taken) in [(Step::Message, 0), (Step::EndOfData, 0), (Step::Taken, 1)] {
        let mx = world.mx(NAME, MxBehaviour::valid().at(step, Act::Drop)).await;
        let mut sender = greeted(&mx).await;
        let sent = sender.send("<a@client.test>", &["<b@example.test>"], TEXT).await;
        assert!(sent.is_err(), "{step:?}");
        assert_eq!(mx.messages().len(), taken, "{step:?}");
        for message in mx.messages() {
            assert_eq!(message.answer(), Some(Answer::Withheld));
        }
    }
}

#[tokio::test]
async fn the_answer_to_a_message_is_known_once_it_was_given() {
    let world = World::new().await;
    let late = MxBehaviour::valid().at(Step::Taken, Act::Delay(Duration::from_millis(200)));
    let mx = world.mx(NAME, late).await;
    let mut sender = greeted(&mx).await;
    let taken = async {
        let message = Arc::clone(&mx.wait_for_messages(1, SOON).await.unwrap()[0]);
        assert_eq!(message.answer(), None);
        message
    };
    let (reply, message) = tokio::join!(send(&mut sender, TEXT), taken);
    assert!(reply.is_positive());
    drop(sender);
    world.tap().wait_for_ended(NAME, 1, SOON).await.unwrap();
    assert_eq!(message.answer(), Some(Answer::Given));
}

#[tokio::test]
async fn a_reply_may_be_the_last_word() {
    let world = World::new().await;
    let bye = Act::ReplyAndDrop("421 4.3.2 closing".to_owned());
    let mx = world.mx(NAME, MxBehaviour::valid().at(Step::MailFrom, bye)).await;
    let mut sender = greeted(&mx).await;
    sender.write(b"MAIL FROM:<a@a.test>\r\nRCPT TO:<b@b.test>\r\nDATA\r\n").await.unwrap();
    assert_eq!(sender.read_reply().await.unwrap().code, 421);
    assert!(sender.read_to_end().await.unwrap().is_empty());
}

#[tokio::test]
async fn raw_bytes_are_sent_as_they_are() {
    let world = World::new().await;
    let raw = Act::Raw(b"250 one\r\n421 two\r\n".to_vec());
    let mx = world.mx(NAME, MxBehaviour::valid().at(Step::MailFrom, raw)).await;
    let mut sender = greeted(&mx).await;
    assert_eq!(sender.mail("<a@a.test>").await.unwrap().code, 250);
    assert_eq!(sender.unread(), b"421 two\r\n");
}

#[tokio::test]
async fn a_silent_host_says_nothing_and_a_slow_one_takes_its_time() {
    let world = World::new().await;
    let mx = world.mx(NAME, MxBehaviour::valid().at(Step::MailFrom, Act::Silence)).await;
    let mut sender = greeted(&mx).await;
    let mail = sender.mail("<a@a.test>");
    assert!(tokio::time::timeout(Duration::from_millis(200), mail).await.is_err());

    let pace = Duration::from_millis(50);
    mx.behave(MxBehaviour::slow(pace));
    let begun = Instant::now();
    greeted(&mx).await;
    assert!(begun.elapsed() >= pace * 2);

    mx.behave(MxBehaviour::valid().at(Step::Quit, Act::Delay(pace)));
    let mut sender = greeted(&mx).await;
    let begun = Instant::now();
    assert_eq!(sender.command("QUIT").await.unwrap().code, 221);
    assert!(begun.elapsed() >= pace);
}

#[tokio::test]
async fn a_changed_behaviour_counts_from_the_next_step_on() {
    let world = World::new().await;
    let mx = world.mx(NAME, MxBehaviour::valid()).await;
    let mut sender = greeted(&mx).await;
    mx.behave(MxBehaviour::valid().at(Step::MailFrom, "550 5.7.1 no"));
    assert_eq!(sender.mail("<a@a.test>").await.unwrap().code, 550);
    mx.behave(MxBehaviour::valid());
    assert!(send(&mut sender, TEXT).await.is_positive());
}
