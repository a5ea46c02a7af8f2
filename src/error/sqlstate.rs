//! SQLSTATE: the five characters by which clients tell errors apart. Those that this server gives, by PostgreSQL's names of them
//! (its manual, appendix A).

use std::fmt;

macro_rules! states {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// A condition that clients may look for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum SqlState {
            $($(#[$doc])* $name,)*
        }

        impl SqlState {
            /// The five characters.
            pub const fn code(self) -> &'static str {
                match self {
                    $(SqlState::$name => $code,)*
                }
            }
        }

        /// All of them.
        #[cfg(test)]
        const ALL: &[SqlState] = &[$(SqlState::$name,)*];
    };
}

states! {
    /// No error: a notice.
    SuccessfulCompletion = "00000",
    /// A warning.
    Warning = "01000",
    /// The connection was lost.
    ConnectionFailure = "08006",
    /// A client speaks the protocol wrongly.
    ProtocolViolation = "08P01",
    /// Valid SQL that is not implemented.
    FeatureNotSupported = "0A000",
    /// What cannot be granted.
    InvalidGrantOperation = "0LP01",
    /// A sub-query gives more rows than its place takes.
    CardinalityViolation = "21000",
    /// A value that does not fit, for a reason without a code of its own.
    DataException = "22000",
    /// A text that is too long for its column.
    StringDataRightTruncation = "22001",
    /// A number that its type cannot hold.
    NumericValueOutOfRange = "22003",
    /// NULL where a value must be.
    NullValueNotAllowed = "22004",
    /// A text that is not a date, a time or an interval.
    InvalidDatetimeFormat = "22007",
    /// A date or time that its type cannot hold.
    DatetimeFieldOverflow = "22008",
    /// Division by zero.
    DivisionByZero = "22012",
    /// A window frame of a negative size.
    InvalidPrecedingOrFollowingSize = "22013",
    /// ntile of less than one.
    InvalidArgumentForNtile = "22014",
    /// An interval that its type cannot hold.
    IntervalFieldOverflow = "22015",
    /// A pattern that cannot be read.
    InvalidRegularExpression = "2201B",
    /// A power that is not defined.
    InvalidArgumentForPowerFunction = "2201F",
    /// A negative LIMIT.
    InvalidRowCountInLimitClause = "2201W",
    /// A negative OFFSET.
    InvalidRowCountInResultOffsetClause = "2201X",
    /// Bytes that are not text.
    CharacterNotInRepertoire = "22021",
    /// A value that an option, a setting or a function does not take.
    InvalidParameterValue = "22023",
    /// A pattern that ends within an escape.
    InvalidEscapeSequence = "22025",
    /// Arrays whose sizes do not agree.
    ArraySubscriptError = "2202E",
    /// A text that is not a value of its type.
    InvalidTextRepresentation = "22P02",
    /// Bytes that are not a value of their type.
    InvalidBinaryRepresentation = "22P03",
    /// A line of COPY … FROM that cannot be read.
    BadCopyFileFormat = "22P04",
    /// A character that texts cannot have.
    UntranslatableCharacter = "22P05",
    /// NULL for a column that takes none.
    NotNullViolation = "23502",
    /// Values that another row has already.
    UniqueViolation = "23505",
    /// A row that a CHECK constraint does not admit.
    CheckViolation = "23514",
    /// Not within a transaction.
    ActiveSqlTransaction = "25001",
    /// Not within a transaction that only reads.
    ReadOnlySqlTransaction = "25006",
    /// Only within a transaction.
    NoActiveSqlTransaction = "25P01",
    /// The transaction has failed before.
    InFailedSqlTransaction = "25P02",
    /// The session was idle in a transaction for too long.
    IdleInTransactionSessionTimeout = "25P03",
    /// No prepared statement of that name.
    InvalidSqlStatementName = "26000",
    /// The user may not connect.
    InvalidAuthorizationSpecification = "28000",
    /// The password is wrong, or there is no such user.
    InvalidPassword = "28P01",
    /// Others need the object.
    DependentObjectsStillExist = "2BP01",
    /// No cursor or portal of that name.
    InvalidCursorName = "34000",
    /// No savepoint of that name.
    InvalidSavepointSpecification = "3B001",
    /// No database of that name.
    InvalidCatalogName = "3D000",
    /// No schema of that name.
    InvalidSchemaName = "3F000",
    /// Another transaction came in between.
    SerializationFailure = "40001",
    /// A statement that is wrong, for a reason without a code of its own.
    SyntaxErrorOrAccessRuleViolation = "42000",
    /// It is not permitted.
    InsufficientPrivilege = "42501",
    /// A statement that cannot be read.
    SyntaxError = "42601",
    /// Two columns of one name.
    DuplicateColumn = "42701",
    /// A name of several columns.
    AmbiguousColumn = "42702",
    /// No column of that name.
    UndefinedColumn = "42703",
    /// No object of that name.
    UndefinedObject = "42704",
    /// The name is taken.
    DuplicateObject = "42710",
    /// Two relations of one name.
    DuplicateAlias = "42712",
    /// There is such a function already.
    DuplicateFunction = "42723",
    /// A call of several functions.
    AmbiguousFunction = "42725",
    /// A column that is not grouped.
    GroupingError = "42803",
    /// A type that its place does not take.
    DatatypeMismatch = "42804",
    /// An object of another kind.
    WrongObjectType = "42809",
    /// No cast between these types.
    CannotCoerce = "42846",
    /// No function or operator that takes these.
    UndefinedFunction = "42883",
    /// A column that nobody may write.
    GeneratedAlways = "428C9",
    /// The name is the system's.
    ReservedName = "42939",
    /// No relation of that name.
    UndefinedTable = "42P01",
    /// No parameter of that number.
    UndefinedParameter = "42P02",
    /// A cursor has the name.
    DuplicateCursor = "42P03",
    /// A prepared statement has the name.
    DuplicatePreparedStatement = "42P05",
    /// A schema has the name.
    DuplicateSchema = "42P06",
    /// A relation has the name.
    DuplicateTable = "42P07",
    /// A column that cannot stand there.
    InvalidColumnReference = "42P10",
    /// A function that cannot be.
    InvalidFunctionDefinition = "42P13",
    /// A table that cannot be.
    InvalidTableDefinition = "42P16",
    /// A type that cannot be told.
    IndeterminateDatatype = "42P18",
    /// A window that cannot be.
    WindowingError = "42P20",
    /// A collation that cannot be told.
    IndeterminateCollation = "42P22",
    /// No room on disk.
    DiskFull = "53100",
    /// More memory than permitted.
    OutOfMemory = "53200",
    /// More connections than permitted.
    TooManyConnections = "53300",
    /// More than the configuration permits.
    ConfigurationLimitExceeded = "53400",
    /// More than can be.
    ProgramLimitExceeded = "54000",
    /// A statement that is nested too deeply, or too long.
    StatementTooComplex = "54001",
    /// More columns than can be.
    TooManyColumns = "54011",
    /// More arguments than can be.
    TooManyArguments = "54023",
    /// The object is not in a state for that.
    ObjectNotInPrerequisiteState = "55000",
    /// The object is in use.
    ObjectInUse = "55006",
    /// A setting that cannot be changed.
    CantChangeRuntimeParam = "55P02",
    /// Another transaction has it.
    LockNotAvailable = "55P03",
    /// The statement was cancelled, or took too long.
    QueryCanceled = "57014",
    /// The server stops.
    AdminShutdown = "57P01",
    /// The server does not take connections now.
    CannotConnectNow = "57P03",
    /// The session was idle for too long.
    IdleSessionTimeout = "57P05",
    /// An outside system does not answer.
    SystemError = "58000",
    /// A file or a socket fails.
    IoError = "58030",
    /// A defect of this server.
    InternalError = "XX000",
    /// Stored data cannot be read.
    DataCorrupted = "XX001",
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests;
