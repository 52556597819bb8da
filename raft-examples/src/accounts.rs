//! A state machine that keeps its state in an embedded database, [redb](https://docs.rs/redb): accounts and what is on
//! them. `examples/on_disk.rs` runs it.

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use raft_actor::{ApplyContext, OnDisk, Records, Snapshot, StateMachine};
use redb::{Database, Error, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata};
use redb::{TableDefinition, TransactionError, WriteTransaction};
use serde::{Deserialize, Serialize};

const BALANCES: TableDefinition<'_, &str, u64> = TableDefinition::new("balances");
/// The framework's, in the same transactions.
const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("raft");

/// Key and value.
type Record = (Vec<u8>, Vec<u8>);

/// Puts something on an account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Deposit {
    /// Whose.
    pub account: String,
    /// How much.
    pub amount: u64,
}

/// Accounts in a file.
pub struct Accounts {
    database: Database,
    /// What was applied since the last commit.
    batch: Option<WriteTransaction>,
    applied: Arc<AtomicU64>,
}

impl Accounts {
    /// Opens the file, which is created if it is missing.
    ///
    /// # Errors
    /// If it cannot be used, or somebody else has it open.
    pub fn open(file: impl AsRef<Path>) -> io::Result<Self> {
        let open = || {
            let database = Database::create(file)?;
            let begin = database.begin_write()?;
            begin.open_table(BALANCES)?;
            begin.open_table(RECORDS)?;
            begin.commit()?;
            Ok::<_, Error>(Self { database, batch: None, applied: Arc::default() })
        };
        open().map_err(io::Error::other)
    }

    /// How many deposits were applied since the file was opened: that is no part of the state.
    pub fn applied(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.applied)
    }

    /// The transaction of this batch.
    fn batch(&mut self) -> Result<&WriteTransaction, Error> {
        if self.batch.is_none() {
            self.batch = Some(self.database.begin_write()?);
        }
        Ok(self.batch.as_ref().expect("it was just begun"))
    }

    fn deposit(&mut self, Deposit { account, amount }: &Deposit) -> Result<u64, Error> {
        let mut balances = self.batch()?.open_table(BALANCES)?;
        let before = balances.get(account.as_str())?.map_or(0, |balance| balance.value());
        let balance = before.saturating_add(*amount);
        balances.insert(account.as_str(), balance)?;
        Ok(balance)
    }

    fn balance(&self, account: &str) -> Result<u64, Error> {
        let balances = self.database.begin_read()?.open_table(BALANCES)?;
        Ok(balances.get(account)?.map_or(0, |balance| balance.value()))
    }

    fn write_records(&mut self, records: &Records) -> Result<(), Error> {
        let mut kept = self.batch()?.open_table(RECORDS)?;
        for (key, value) in records.iter() {
            match value {
                Some(value) => kept.insert(key, value)?,
                None => kept.remove(key)?,
            };
        }
        Ok(())
    }

    fn read_records(&self) -> Result<Vec<Record>, Error> {
        let kept = self.database.begin_read()?.open_table(RECORDS)?;
        let mut records = Vec::new();
        for record in kept.iter()? {
            let (key, value) = record?;
            records.push((key.value().to_vec(), value.value().to_vec()));
        }
        Ok(records)
    }
}

impl StateMachine for Accounts {
    type Command = Deposit;
    /// The balance after it.
    type Response = u64;
    /// An account.
    type Query = String;
    /// Its balance; nothing if the disk fails.
    type Answer = Option<u64>;

    fn apply(&mut self, ctx: &mut ApplyContext<'_>, deposit: Deposit) -> u64 {
        self.applied.fetch_add(1, Ordering::Relaxed);
        self.deposit(&deposit).unwrap_or_else(|error| {
            ctx.fail(io::Error::other(error));
            0
        })
    }

    fn query(&self, account: String) -> Option<u64> {
        self.balance(&account).ok()
    }

    fn on_disk(&mut self) -> Option<&mut dyn OnDisk> {
        Some(self)
    }
}

impl OnDisk for Accounts {
    fn commit(&mut self, records: &Records) -> io::Result<()> {
        self.write_records(records).map_err(io::Error::other)?;
        self.batch.take().map_or(Ok(()), WriteTransaction::commit).map_err(io::Error::other)
    }

    fn records(&self) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        self.read_records().map_err(io::Error::other)
    }

    /// Every commit is durable when it returns.
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A snapshot is what a read transaction sees: it takes no time, and deposits go on while it is saved.
impl Snapshot for Accounts {
    type Frozen = Result<ReadTransaction, TransactionError>;

    fn freeze(&self) -> Self::Frozen {
        self.database.begin_read()
    }

    fn save(frozen: Self::Frozen, out: &mut dyn Write) -> io::Result<()> {
        let mut out = BufWriter::new(out);
        let balances = frozen.map_err(io::Error::other)?.open_table(BALANCES).map_err(io::Error::other)?;
        out.write_all(&balances.len().map_err(io::Error::other)?.to_le_bytes())?;
        for entry in balances.iter().map_err(io::Error::other)? {
            let (account, balance) = entry.map_err(io::Error::other)?;
            let account = account.value().as_bytes();
            out.write_all(&(account.len() as u64).to_le_bytes())?;
            out.write_all(account)?;
            out.write_all(&balance.value().to_le_bytes())?;
        }
        out.flush()
    }

    /// Part of the state with the `commit` that follows; a crash before that leaves what was there before.
    fn load(&mut self, input: &mut dyn Read) -> io::Result<()> {
        let mut input = BufReader::new(input);
        // What was begun and not committed is gone with its transaction.
        self.batch = None;
        let batch = self.batch().map_err(io::Error::other)?;
        batch.delete_table(BALANCES).map_err(io::Error::other)?;
        let mut balances = batch.open_table(BALANCES).map_err(io::Error::other)?;
        for _ in 0..number(&mut input)? {
            let (length, mut account) = (number(&mut input)?, Vec::new());
            input.by_ref().take(length).read_to_end(&mut account)?;
            let account = String::from_utf8(account).map_err(io::Error::other)?;
            balances.insert(account.as_str(), number(&mut input)?).map_err(io::Error::other)?;
        }
        Ok(())
    }
}

fn number(input: &mut dyn Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    input.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}
