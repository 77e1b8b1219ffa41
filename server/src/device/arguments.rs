//! What can be typed after `daybook device`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `daybook device`: the headless phone in a folder; and, on the server, the list of devices.
#[derive(Debug, Args)]
pub struct DeviceArguments {
    /// The phone's folder 设备文件夹
    #[arg(long, env = "DAYBOOK_DIR", global = true)]
    pub dir: Option<PathBuf>,
    /// What to do 命令
    #[command(subcommand)]
    pub command: DeviceCommand,
}

/// One command of the headless phone, or of the server about devices.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "one value a process, read once")]
pub enum DeviceCommand {
    /// Server: all devices, with last contact and unsent work 服务器：设备列表
    List {
        /// The server's data folder 数据文件夹
        #[arg(long)]
        data: PathBuf,
    },
    /// Server: revoke one device 服务器：停用一台设备
    Revoke {
        /// The device's id 设备编号
        device: String,
        /// The server's data folder 数据文件夹
        #[arg(long)]
        data: PathBuf,
    },
    /// Server: what revoked devices left unsent 服务器：隔离区
    Quarantine {
        /// The server's data folder 数据文件夹
        #[arg(long)]
        data: PathBuf,
    },
    /// A command of the headless phone 设备命令
    #[command(flatten)]
    Phone(PhoneCommand),
}

/// One command of the headless phone. All but login, sync and watch work without a server.
#[derive(Debug, Subcommand)]
pub enum PhoneCommand {
    /// Log in; the password comes from DAYBOOK_PASSWORD 登录
    Login {
        /// Such as http://127.0.0.1:8480 服务器地址
        url: String,
        /// The person's name 姓名
        user: String,
        /// What this device is called in lists 设备名称
        #[arg(long)]
        label: Option<String>,
    },
    /// Send everything unsent and fetch everything new 同步
    Sync {
        /// Seconds before giving up 超时秒数
        #[arg(long, default_value_t = 120)]
        timeout: u64,
    },
    /// Stay connected and print timeline entries as they come 实时查看
    Watch {
        /// Only this customer: id, code or exact name 客户
        customer: Option<String>,
        /// Print what the phone holds already, too 包括已有记录
        #[arg(long)]
        all: bool,
        /// Stop after so many entries 条数
        #[arg(long)]
        count: Option<u64>,
        /// Stop after so many seconds 秒数
        #[arg(long)]
        seconds: Option<u64>,
    },
    /// Customers 客户
    #[command(subcommand)]
    Customer(CustomerCommand),
    /// Visits 拜访记录
    #[command(subcommand)]
    Visit(VisitCommand),
    /// Comment on a customer or a visit 批示
    Comment {
        /// Id, code or exact name 客户
        customer: String,
        /// The words 内容
        #[arg(required_unless_present = "text_flag")]
        text: Option<String>,
        /// The words, as a flag 内容
        #[arg(long = "text", id = "text_flag", conflicts_with = "text")]
        text_flag: Option<String>,
        /// The visit that it is about 拜访编号
        #[arg(long)]
        about: Option<String>,
    },
    /// A customer's timeline, oldest first 时间线
    Timeline {
        /// Id, code or exact name 客户
        customer: String,
    },
    /// Counts of unsent and refused work 未传条数
    Pending,
    /// Where the phone stands 设备状态
    Status,
    /// Edits that the server refused 被退回的修改
    Refused {
        /// Forget this one: the person has dealt with it 已处理，不再显示
        #[arg(long)]
        dismiss: Option<u64>,
    },
    /// Notices 通知
    Notices,
    /// Everybody in the organisation 人员
    People,
    /// Everything unsent as a rescue file; to standard output without FILE 导出未传内容
    Export {
        /// Where to 文件
        file: Option<PathBuf>,
    },
    /// Import a follow-up sheet (.xlsx, .csv) 导入跟进表
    ImportFollowups {
        /// The sheet 文件
        file: PathBuf,
        /// Only say what would happen 试运行
        #[arg(long)]
        dry_run: bool,
    },
    /// Ledger requests 台账
    #[command(subcommand)]
    Ledger(LedgerCommand),
}

/// Customers.
#[derive(Debug, Subcommand)]
pub enum CustomerCommand {
    /// Add a card 新增
    Add {
        /// The full name 全称
        #[arg(long)]
        name: Option<String>,
        /// Fields 字段
        #[command(flatten)]
        fields: CustomerFields,
    },
    /// Change a card 修改
    Edit {
        /// Id, code or exact name 客户
        customer: String,
        /// The full name 全称
        #[arg(long)]
        name: Option<String>,
        /// Fields 字段
        #[command(flatten)]
        fields: CustomerFields,
        /// Add a number 增加电话
        #[arg(long)]
        add_phone: Vec<String>,
        /// Retire a number 停用电话
        #[arg(long)]
        retire_phone: Vec<String>,
    },
    /// List cards 列表
    List {
        /// Name, pinyin, initials, code, last digits of a phone 查找
        #[arg(long)]
        search: Option<String>,
    },
    /// Show a card 查看
    Show {
        /// Id, code or exact name 客户
        customer: String,
    },
}

/// Fields of a card.
#[derive(Debug, Args)]
pub struct CustomerFields {
    /// Short name 简称
    #[arg(long)]
    pub short_name: Option<String>,
    /// Address 地址
    #[arg(long)]
    pub address: Option<String>,
    /// A phone number 电话
    #[arg(long)]
    pub phone: Vec<String>,
    /// A contact's name 联系人
    #[arg(long)]
    pub contact: Vec<String>,
    /// 新, 固定, 重要, 潜在 类别
    #[arg(long)]
    pub category: Option<String>,
    /// Level 级别
    #[arg(long)]
    pub level: Option<String>,
    /// Remarks 备注
    #[arg(long)]
    pub remarks: Option<String>,
    /// Any other field as PATH=VALUE; an empty value removes it 其他字段
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub set: Vec<String>,
}

/// Visits.
#[derive(Debug, Subcommand)]
pub enum VisitCommand {
    /// Record a visit 新增
    Add {
        /// Id, code or exact name 客户
        customer: String,
        /// Fields 字段
        #[command(flatten)]
        fields: VisitFields,
    },
    /// Change one's own visit 修改
    Edit {
        /// The visit's id 拜访编号
        visit: String,
        /// Fields 字段
        #[command(flatten)]
        fields: VisitFields,
    },
    /// Void one's own visit 作废
    Void {
        /// The visit's id 拜访编号
        visit: String,
        /// Why 原因
        #[arg(long)]
        reason: String,
    },
    /// List visits, newest first 列表
    List {
        /// Id, code or exact name 客户
        customer: Option<String>,
    },
}

/// Fields of a visit.
#[derive(Debug, Args)]
pub struct VisitFields {
    /// The record 记录
    #[arg(long)]
    pub text: Option<String>,
    /// When: 2026-11-22, 2026-11-22T09:10 or with +08:00 时间
    #[arg(long)]
    pub at: Option<String>,
    /// 上门, 电话, 微信, 送样, 来访, 寄资料 方式
    #[arg(long)]
    pub kind: Option<String>,
    /// Purpose 目的
    #[arg(long)]
    pub purpose: Option<String>,
    /// Problem 问题
    #[arg(long)]
    pub problem: Option<String>,
    /// Counter-measure 对策
    #[arg(long)]
    pub countermeasure: Option<String>,
    /// 继续跟进, 签单, 丢单, 未跟进, 未见到人 结果
    #[arg(long)]
    pub result: Option<String>,
    /// Level after 级别
    #[arg(long)]
    pub level_after: Option<String>,
    /// Somebody met, by name 见到的人
    #[arg(long)]
    pub met: Vec<String>,
    /// The next action 下一步
    #[arg(long)]
    pub next: Option<String>,
    /// The next action's day 下一步日期
    #[arg(long, requires = "next")]
    pub next_day: Option<String>,
    /// A quote as PRODUCT|PACK|PRICE in yuan 报价
    #[arg(long, value_name = "PRODUCT|PACK|PRICE")]
    pub quote: Vec<String>,
    /// Any other field as PATH=VALUE; an empty value removes it 其他字段
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub set: Vec<String>,
}

/// Requests to the ledger and what became of late work.
#[derive(Debug, Subcommand)]
pub enum LedgerCommand {
    /// Accept a customer and give it a code 受理
    Accept {
        /// Id or exact name 客户
        customer: String,
    },
    /// Move a customer to another rep 移交
    Transfer {
        /// Id, code or exact name 客户
        customer: String,
        /// The new owner, by name or id 接收人
        #[arg(long)]
        to: String,
        /// Why 原因
        #[arg(long)]
        reason: Option<String>,
    },
    /// Work of former owners that came after a transfer 移交后的迟到内容
    Late,
    /// Settle a held edit 处理保留的修改
    Settle {
        /// Id, code or exact name 客户
        customer: String,
        /// The late work's number, from `ledger late` 编号
        late: u64,
        /// Merge it 采用
        #[arg(long, conflicts_with = "dismiss", required_unless_present = "dismiss")]
        apply: bool,
        /// Leave it aside 不采用
        #[arg(long)]
        dismiss: bool,
    },
    /// Requests that wait, and those refused 申请
    Requests,
}
