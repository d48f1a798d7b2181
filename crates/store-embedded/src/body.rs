//! Reading a message back, and never a damaged one to its end: from memory where its body still is
//! as it came, or else from the spool.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use mail::QueueId;
use store::{BodyError, BodyReader, StoreError};
use tokio::fs::File;
use tokio::io::{AsyncRead, ReadBuf};

use crate::message_rows::message_row;
use crate::record::{HEADER_SIZE, Header};
use crate::rows::{MessageRow, RecordLocation};
use crate::shared::Handle;
use crate::spool::Paths;
use crate::work::Edit;

/// How much is read at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// Bodies up to this size are read and checked whole before the first byte is given.
const WHOLE_BYTES: u64 = 256 << 10;

/// A message's header and body, as they were received.
#[derive(Debug)]
struct Reader {
    /// Has the message set aside if it is damaged; none where the queue is only looked at.
    handle: Option<Arc<Handle>>,
    id: QueueId,
    /// Checked or withheld bytes that may be given.
    chunk: Arc<Vec<u8>>,
    /// How many of them have been given.
    given: usize,
    rest: Option<Rest>,
}

/// What is still in the file.
#[derive(Debug)]
struct Rest {
    file: File,
    left: u64,
    /// The checksum of what has been read.
    sum: u32,
    /// The checksum that the header names.
    expected: u32,
    chunk: Vec<u8>,
    filled: usize,
}

/// A record that was opened.
#[derive(Debug)]
struct Opened {
    header: Header,
    file: fs::File,
    whole: Option<Vec<u8>>,
}

/// Opens the body of message `id`.
pub(crate) async fn open(handle: Arc<Handle>, id: QueueId) -> Result<BodyReader, BodyError> {
    if let Some(body) = handle.shared.recent.take(id) {
        let size = u64::try_from(body.len()).unwrap_or(u64::MAX);
        let reader = Reader { handle: Some(handle), id, chunk: body, given: 0, rest: None };
        return Ok(BodyReader::new(size, reader));
    }
    let opener = Arc::clone(&handle);
    match handle.short_reads.read(move || open_again(&opener, id)).await? {
        Ok(opened) => Ok(reader(Some(handle), id, opened)),
        Err(error) => {
            if let BodyError::Damaged(why) = &error {
                quarantine(&handle, id, why);
            }
            Err(error)
        }
    }
}

/// Opens the body of message `id` in a store that nobody changes, with these files and this number;
/// `find` looks it up.
pub(crate) fn open_at_rest(
    store: (&Paths, u64),
    id: QueueId,
    find: impl FnOnce() -> Result<Option<MessageRow>, StoreError>,
) -> Result<BodyReader, BodyError> {
    Ok(reader(None, id, open_record(store, id, find)?))
}

/// A reader of what was opened.
fn reader(handle: Option<Arc<Handle>>, id: QueueId, opened: Opened) -> BodyReader {
    let Opened { header, file, whole } = opened;
    let rest = whole.is_none().then(|| Rest {
        file: File::from_std(file),
        left: header.body_size,
        sum: 0,
        expected: header.body_sum,
        chunk: Vec::new(),
        filled: 0,
    });
    let chunk = Arc::new(whole.unwrap_or_default());
    BodyReader::new(header.body_size, Reader { handle, id, chunk, given: 0, rest })
}

impl Reader {
    /// Reads the next chunk, and compares the checksum before the last one is given.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(rest) = self.rest.as_mut() else { return Poll::Ready(Ok(())) };
        let filled = ready!(rest.poll_fill(cx));
        let result = filled.map(|chunk| {
            self.chunk = Arc::new(chunk);
            self.given = 0;
            rest.left == 0
        });
        match result {
            Ok(true) => self.rest = None,
            Ok(false) => {}
            Err(error) => {
                if let Some(handle) = self.handle.as_ref().filter(|_| is_damage(&error)) {
                    quarantine(handle, self.id, &error.to_string());
                }
                return Poll::Ready(Err(error));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.given >= this.chunk.len() {
            ready!(this.poll_chunk(cx))?;
        }
        let rest = this.chunk.get(this.given..).unwrap_or_default();
        let taken = rest.get(..out.remaining()).unwrap_or(rest);
        out.put_slice(taken);
        this.given = this.given.saturating_add(taken.len());
        Poll::Ready(Ok(()))
    }
}

impl Rest {
    /// Fills a chunk.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Vec<u8>>> {
        let size = usize::try_from(self.left).unwrap_or(usize::MAX).min(CHUNK_BYTES);
        self.chunk.resize(size, 0);
        while self.filled < size {
            let space = self.chunk.get_mut(self.filled..).unwrap_or_default();
            let mut space = ReadBuf::new(space);
            ready!(Pin::new(&mut self.file).poll_read(cx, &mut space))?;
            let read = space.filled().len();
            if read == 0 {
                return Poll::Ready(Err(damage("the record ends before its end")));
            }
            self.filled = self.filled.saturating_add(read);
        }
        let chunk = std::mem::take(&mut self.chunk);
        self.filled = 0;
        self.sum = crc32c::crc32c_append(self.sum, &chunk);
        self.left = self.left.saturating_sub(u64::try_from(size).unwrap_or(u64::MAX));
        if self.left == 0 && self.sum != self.expected {
            return Poll::Ready(Err(damage("the body's checksum is wrong")));
        }
        Poll::Ready(Ok(chunk))
    }
}

/// Opens a record; once more if it was copied elsewhere between the look-up and the opening.
fn open_again(handle: &Handle, id: QueueId) -> Result<Opened, BodyError> {
    let store = (&handle.shared.paths, handle.shared.store);
    let find = || handle.read(|engine| message_row(engine, id));
    match open_record(store, id, find) {
        Err(BodyError::Damaged(_)) => open_record(store, id, find),
        other @ (Ok(_) | Err(BodyError::Gone | BodyError::Io(_) | BodyError::Store(_))) => other,
    }
}

/// Opens the record of message `id` where the index says it is.
fn open_record(
    store: (&Paths, u64),
    id: QueueId,
    find: impl FnOnce() -> Result<Option<MessageRow>, StoreError>,
) -> Result<Opened, BodyError> {
    let row = find()?.ok_or(BodyError::Gone)?;
    match read_record(store, id, &row) {
        Ok(opened) => Ok(opened),
        Err(error) if is_damage(&error) => Err(BodyError::Damaged(error.to_string())),
        Err(error) => Err(BodyError::Io(error)),
    }
}

/// Reads a record's header, and its body too if that is short.
fn read_record((paths, store): (&Paths, u64), id: QueueId, row: &MessageRow) -> io::Result<Opened> {
    let mut file = fs::File::open(paths.record(id, row.place))?;
    let offset = match row.place {
        RecordLocation::Big => 0,
        RecordLocation::Segment { offset, .. } => offset,
    };
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = [0; HEADER_SIZE];
    file.read_exact(&mut bytes)?;
    let header =
        Header::decode(&bytes).map_err(|_cause| damage("the header's checksum is wrong"))?;
    if header.id != id || header.store != store || header.body_size != row.message.size {
        return Err(damage("the header names another message"));
    }
    file.seek(SeekFrom::Start(offset.saturating_add(header.body_offset())))?;
    let whole = (header.body_size <= WHOLE_BYTES).then(|| read_whole(&mut file, &header));
    Ok(Opened { header, whole: whole.transpose()?, file })
}

/// Reads a short body and compares its checksum.
fn read_whole(file: &mut fs::File, header: &Header) -> io::Result<Vec<u8>> {
    let mut body = vec![0; usize::try_from(header.body_size).map_err(io::Error::other)?];
    file.read_exact(&mut body)?;
    if crc32c::crc32c(&body) == header.body_sum {
        Ok(body)
    } else {
        Err(damage("the body's checksum is wrong"))
    }
}

/// An error that says the record is damaged.
fn damage(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Whether an error means that the record is damaged, not that the disk refused.
fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof
    )
}

/// Has the message set aside: it is not tried again, and not lost.
fn quarantine(handle: &Handle, id: QueueId, why: &str) {
    tracing::error!(queue_id = %id, why, "message quarantined: its copy in the spool is damaged");
    handle.tell(Edit::Quarantine(id, why.to_owned()));
}
