//! What can be typed after `daybook`.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use shared::ledger::Role;

use crate::device::arguments::DeviceArguments;

/// Offline-first visit log: reps keep the daybook, the assistant keeps the ledger.
/// 离线优先的拜访记录：业务员记日志，内勤管台账。
#[derive(Debug, Parser)]
#[command(name = "daybook", version)]
pub struct Arguments {
    /// Print one JSON value on standard output 输出 JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do 命令
    #[command(subcommand)]
    pub command: Command,
}

/// One command.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "one value a process, read once")]
pub enum Command {
    /// Make a new data folder 新建数据文件夹
    Init {
        /// The server's data folder 数据文件夹
        #[arg(long)]
        data: PathBuf,
    },
    /// Run the server 启动服务
    Serve {
        /// The server's data folder 数据文件夹
        #[arg(long)]
        data: PathBuf,
        /// Address and port; port 0 takes a free one 监听地址
        #[arg(long)]
        listen: Option<String>,
        /// Configuration file; daybook.toml in the data folder otherwise 配置文件
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// People with a login 人员
    #[command(subcommand)]
    User(UserCommand),
    /// The headless phone; and the server's list of devices 设备
    Device(DeviceArguments),
    /// Rebuild everything from the log and compare 核对数据
    Verify {
        /// The server's data folder 数据文件夹
        #[arg(long)]
        data: PathBuf,
    },
    /// Copy the data, also of a running server, to a new file 备份
    Backup {
        /// The new file 备份文件
        file: PathBuf,
        /// The server's data folder 数据文件夹
        #[arg(long)]
        data: PathBuf,
    },
    /// Put a backup into an empty data folder 恢复
    Restore {
        /// The backup 备份文件
        file: PathBuf,
        /// The new data folder 数据文件夹
        #[arg(long)]
        data: PathBuf,
    },
    /// Erase documents for good; a customer's card with everything of the customer 永久删除
    Erase {
        /// Ids of visits, comments or customer cards 编号
        #[arg(required_unless_present = "list")]
        docs: Vec<String>,
        /// List what was erased instead 列出已删除的
        #[arg(long, conflicts_with = "docs")]
        list: bool,
        /// The server's data folder 数据文件夹
        #[arg(long)]
        data: PathBuf,
    },
    /// Show what the organisation has set, and set it; running phones hear of it within seconds 设置
    Settings {
        /// Whether reps may keep a coarse position at arrival and departure 可否记录位置
        #[arg(long)]
        position_allowed: Option<bool>,
        /// Minutes between recording and receipt beyond which an entry says 补传 迟传分钟数
        #[arg(long, value_parser = clap::value_parser!(i64).range(1..=525_600))]
        late_upload_minutes: Option<i64>,
        /// The server's data folder 数据文件夹
        #[arg(long)]
        data: PathBuf,
    },
    /// Make an invented organisation to try things out 示例数据
    Demo {
        /// The new data folder 数据文件夹
        #[arg(long)]
        data: PathBuf,
    },
    /// Judges changes; started by the server itself
    #[command(name = "admission-worker", hide = true)]
    AdmissionWorker,
    /// Reads a workbook; started by the import itself
    #[command(name = "sheet-worker", hide = true)]
    SheetWorker,
}

/// People with a login.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Add a person; the password comes from DAYBOOK_PASSWORD 新增
    Add {
        /// The name, as typed at login 姓名
        name: String,
        /// 业务员, 内勤, 经理, 管理员 岗位
        #[arg(long)]
        role: RoleName,
        /// The team's name; made if there is none 团队
        #[arg(long)]
        team: Option<String>,
        /// The server's data folder 数据文件夹
        #[arg(long)]
        data: PathBuf,
    },
    /// Set a password from DAYBOOK_PASSWORD 重设密码
    Password {
        /// The name 姓名
        name: String,
        /// The server's data folder 数据文件夹
        #[arg(long)]
        data: PathBuf,
    },
    /// List everybody 列表
    List {
        /// The server's data folder 数据文件夹
        #[arg(long)]
        data: PathBuf,
    },
    /// Disable a person who owns no customers 停用
    Disable {
        /// The name 姓名
        name: String,
        /// The server's data folder 数据文件夹
        #[arg(long)]
        data: PathBuf,
    },
}

/// A role as typed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum RoleName {
    /// 业务员
    Rep,
    /// 销售内勤
    Assistant,
    /// 经理
    Manager,
    /// 系统管理员
    Admin,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Role {
        match name {
            RoleName::Rep => Role::Rep,
            RoleName::Assistant => Role::Assistant,
            RoleName::Manager => Role::Manager,
            RoleName::Admin => Role::Admin,
        }
    }
}
