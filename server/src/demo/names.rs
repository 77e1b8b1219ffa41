//! Invented people, factories and products. Any likeness to a real company is an accident.

/// Teams.
pub const TEAMS: [&str; 2] = ["业务一部", "业务二部"];

/// Reps with the index of their team.
pub const REPS: [(&str, usize); 5] =
    [("周启明", 0), ("林晓峰", 0), ("何俊杰", 0), ("吴海涛", 1), ("郑雅琴", 1)];
/// The assistant.
pub const ASSISTANT: &str = "许静";
/// The manager of the first team.
pub const TEAM_MANAGER: &str = "梁国栋";
/// The manager of all teams.
pub const MANAGER: &str = "方文慧";

/// The first words of factories' names, in the order in which they are found.
pub const BRANDS: [&str; 60] = [
    "远腾", "澜启", "泓矩", "硕岑", "铂昕", "钧澍", "翎锐", "澄炬", "晟篁", "霖拓", "璟阔", "岚特", "朔迈",
    "昱凌", "桓锋", "沐钢", "栩捷", "衡朗", "骁铸", "麒准", "沣益", "煜磐", "琮达", "邺诚", "郢泰", "渝锵",
    "涵铄", "睿砺", "茂圳", "辰钰", "皓锴", "乾垚", "坤铮", "瀚镁", "锦枞", "擎岳", "竞翀", "玖合", "鑫芃",
    "亘元", "榕海", "禾锻", "炬芒", "朴科", "曦铝", "弘杼", "铎声", "焱森", "淳机", "广屹", "和樾", "同枢",
    "正旸", "永锜", "长骐", "新葵", "联颂", "环翊", "卓霁", "盛楹",
];

/// A product that the trader sells.
#[derive(Debug, Clone, Copy)]
pub struct Product {
    /// Its name.
    pub name: &'static str,
    /// The pack.
    pub pack: &'static str,
    /// What a price is for.
    pub unit: &'static str,
    /// The list price in yuan.
    pub yuan: i64,
}

/// What a kind of factory makes, runs on and uses.
#[derive(Debug, Clone, Copy)]
pub struct Trade {
    /// The words after the brand in the company's name.
    pub names: &'static [&'static str],
    /// The industry on the card.
    pub industry: &'static str,
    /// Machines.
    pub machines: &'static [&'static str],
    /// Products, the one used most first.
    pub products: &'static [Product],
    /// What goes wrong.
    pub complaints: &'static [&'static str],
}

const fn product(name: &'static str, pack: &'static str, unit: &'static str, yuan: i64) -> Product {
    Product { name, pack, unit, yuan }
}

/// Trades.
pub const TRADES: [Trade; 5] = [
    Trade {
        names: &["精密机械", "模具", "精密五金"],
        industry: "机械加工",
        machines: &["加工中心", "数控车床", "火花机", "平面磨床"],
        products: &[
            product("乳化切削液", "200L", "桶", 2_380),
            product("68#导轨油", "18L", "桶", 310),
            product("火花机油", "200L", "桶", 2_160),
            product("10#主轴油", "18L", "桶", 285),
        ],
        complaints: &[
            "切削液夏天发臭，两周就要换一次",
            "机床护罩里泡沫多，液位报警",
            "工件放两天就有锈点",
            "操作工说手痒，怀疑切削液",
        ],
    },
    Trade {
        names: &["塑胶制品", "注塑", "塑料科技"],
        industry: "注塑",
        machines: &["250吨注塑机", "海字系列注塑机", "电动注塑机", "机械手"],
        products: &[
            product("46#抗磨液压油", "200L", "桶", 1_850),
            product("68#抗磨液压油", "200L", "桶", 1_880),
            product("32#液压油", "200L", "桶", 1_790),
            product("高温链条油", "18L", "桶", 560),
        ],
        complaints: &[
            "油温到58度，冷却器结垢",
            "两台老机油封渗油，一个月补一桶",
            "液压油发黑，滤芯堵得快",
            "上模有爬行，怀疑油里进水",
        ],
    },
    Trade {
        names: &["五金制品", "冲压件", "金属制品"],
        industry: "五金冲压",
        machines: &["110吨冲床", "高速冲床", "油压机", "拉伸机"],
        products: &[
            product("冲压拉伸油", "200L", "桶", 2_650),
            product("挥发性冲剪油", "200L", "桶", 2_280),
            product("软膜防锈油", "18L", "桶", 295),
            product("46#抗磨液压油", "200L", "桶", 1_850),
        ],
        complaints: &[
            "不锈钢拉伸件有拉痕",
            "冲完清洗不干净，电镀起泡",
            "车间油雾大，工人有意见",
            "出口件海运回来有锈",
        ],
    },
    Trade {
        names: &["压铸", "铝制品", "金属科技"],
        industry: "压铸",
        machines: &["280吨压铸机", "500吨压铸机", "熔炉", "抛丸机"],
        products: &[
            product("水乙二醇难燃液压液", "200L", "桶", 2_950),
            product("压铸脱模剂", "200L", "桶", 1_680),
            product("铝合金切削液", "200L", "桶", 2_560),
            product("冲头颗粒油", "20KG", "袋", 420),
        ],
        complaints: &[
            "脱模剂残留多，喷涂附着力差",
            "冲头磨损快，一周换两个",
            "铝件加工后发黑",
            "难燃液含水掉得快，没人测",
        ],
    },
    Trade {
        names: &["齿轮", "弹簧", "轴承配件"],
        industry: "零部件",
        machines: &["滚齿机", "卷簧机", "网带炉", "无心磨床"],
        products: &[
            product("快速淬火油", "200L", "桶", 2_150),
            product("全合成磨削液", "200L", "桶", 2_480),
            product("220#齿轮油", "200L", "桶", 2_060),
            product("脱水防锈油", "200L", "桶", 2_240),
        ],
        complaints: &[
            "淬火后硬度不均，变形大",
            "磨削有烧伤纹",
            "齿轮箱温升高，噪声大",
            "防锈期只有半个月，客户退货一批",
        ],
    },
];

/// Invented makers of lubricants that are met at customers.
pub const COMPETITORS: [&str; 6] = ["润驰", "科斯达", "海力得", "金盾威", "德润邦", "力士坦"];

/// Places: town, industrial district, its street.
pub const PLACES: [(&str, &str); 12] = [
    ("长安镇", "振安工业区三路"),
    ("虎门镇", "北栅东坊工业区"),
    ("大岭山镇", "杨屋第二工业区"),
    ("寮步镇", "石大路段良边工业园"),
    ("厚街镇", "溪头工业大道"),
    ("常平镇", "土塘沿河工业路"),
    ("塘厦镇", "林村兴业街"),
    ("凤岗镇", "雁田东深二路"),
    ("横沥镇", "田饶步工业区"),
    ("茶山镇", "南社工业北路"),
    ("清溪镇", "渔梁围银松路"),
    ("黄江镇", "裕元工业园环路"),
];

/// Surnames of contacts.
pub const SURNAMES: [&str; 20] = [
    "王", "李", "张", "刘", "陈", "杨", "黄", "赵", "罗", "胡", "朱", "谢", "曾", "彭", "苏", "蒋", "卢",
    "余", "潘", "邓",
];
/// Given names of contacts.
pub const GIVEN: [&str; 20] = [
    "建军", "志强", "丽华", "国平", "海燕", "永福", "小玲", "文斌", "秋菊", "光明", "伟东", "美凤", "德胜",
    "春花", "家豪", "晓东", "佩珊", "金水", "立新", "雪梅",
];
/// Titles of contacts, with department and part in a decision.
pub const TITLES: [(&str, &str, &str); 6] = [
    ("采购主管", "采购部", "采购"),
    ("设备课长", "设备部", "影响"),
    ("厂长", "厂办", "决策"),
    ("生产经理", "生产部", "使用"),
    ("采购员", "采购部", "采购"),
    ("总经理", "总经办", "决策"),
];
