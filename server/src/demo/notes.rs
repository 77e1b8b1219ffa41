//! What reps write: one visit after another of a customer, from the first contact to the order and after.
//! Knows the stages of a case and nothing of documents.

use shared::entropy::Entropy;

use super::names::{COMPETITORS, Product, Trade};

/// Where a case with a customer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// 初访
    First,
    /// 了解设备/用量
    Needs,
    /// 送样
    Sample,
    /// 试样
    Trial,
    /// 报价
    Quote,
    /// 议价
    Bargain,
    /// 签单
    Order,
    /// After the order: service, complaints, new products.
    After,
    /// 丢单
    Lost,
}

/// A customer as the writer of notes sees it.
pub struct Case {
    /// What the factory makes and uses.
    pub trade: Trade,
    /// The product in question.
    pub product: Product,
    /// The maker that delivers today.
    pub competitor: &'static str,
    /// Units a month.
    pub monthly: u64,
    /// The quoted price in yuan.
    pub price: i64,
    /// The contact's surname and title, as reps say it: 王工, 陈厂长.
    pub contact: String,
    /// Where it stands.
    pub stage: Stage,
    /// Visits since the order.
    pub after: u64,
}

/// One note.
#[derive(Debug, Clone, Default)]
pub struct Note {
    /// 上门, 电话 …
    pub kind: &'static str,
    /// 目的
    pub purpose: &'static str,
    /// 记录
    pub record: String,
    /// 问题
    pub problem: Option<String>,
    /// 对策
    pub countermeasure: Option<String>,
    /// 结果
    pub result: &'static str,
    /// The stage's name.
    pub status: &'static str,
    /// The next action and in how many days.
    pub next: Option<(String, i64)>,
    /// A quote in yuan.
    pub quote: Option<(Product, i64)>,
    /// A sample: kind, quantity, and how it went.
    pub sample: Option<(&'static str, &'static str, Option<&'static str>)>,
    /// A competitor's price in yuan.
    pub competitor_price: Option<i64>,
    /// A gift.
    pub gift: Option<&'static str>,
}

const FIRST: [&str; 8] = [
    "第一次上门，在门卫处登记后见到{c}。厂里有{m}等设备二十多台，目前主要用{b}的{p}，每月约{n}{u}。{c}说暂时没有换油的打算，收下了资料和名片。",
    "由附近客户介绍过来，{c}比较客气，带我看了车间。设备以{m}为主，{p}用{b}的，两年没换过供应商。对我们的检测服务有兴趣。",
    "扫街时进来的，前台让留资料，正好{c}下来收货，聊了十分钟。他们{p}每月{n}{u}左右，付款月结60天。",
    "电话约了三次才见到{c}。他说老板管得紧，换油要厂长签字。记下了设备清单：{m}八台，其余是小机。",
    "展会上换过名片，今天到厂。{c}介绍说去年扩了一个车间，新增{m}四台，{p}用量会上去。现用{b}。",
    "{c}正在开会，等了四十分钟。简单介绍了公司和检测车，对方要一份{p}的技术资料和MSDS。",
    "路过先拜访，{c}说现供应商{b}送货慢，上个月断过两天油，愿意了解备选。用量约{n}{u}一个月。",
    "见到{c}，态度一般，说做油的一周来三家。好在他提到{x}，这一点可以做文章。",
];
const NEEDS: [&str; 8] = [
    "把{m}的油箱容量逐台抄了一遍，合计换油量约{n}{u}。{c}认可先做一次油样检测，取了两瓶样带回。",
    "油样检测报告送到：水分偏高、污染度NAS 10级。{c}看了报告没说话，后来主动问我们{p}多少钱。",
    "{c}带我去见了车间主任，主任反映{x}。现用{b}的{p}，一桶折下来比我们便宜六十多，但寿命短。",
    "了解到采购流程：车间提申请，{c}比价，厂长批。年度比价在季度末，要提前两周把资料给到。",
    "和设备班的师傅聊，{m}夏天问题多，{x}。师傅希望换个好一点的油，但说话不算数。",
    "{c}给了近三个月的领用记录：{p}分别是{n}{u}上下，另外小品种也不少，导轨油和防锈油都从门市买。",
    "量了切削液浓度和油温，做了记录表给{c}。他说{b}的人从来没做过这些，印象不错。",
    "电话里{c}说老板同意找一台{m}试，条件是出问题我们负责清洗。需要公司同意。",
];
const SAMPLE: [&str; 6] = [
    "送{p}样品一桶到仓库，{c}签收。约定先在2号{m}上用，旧油放干净再加。",
    "带了18L{p}过来，和师傅一起清洗油箱，加油后开机运行半小时，声音和压力正常。",
    "样品到厂，但{m}赶货停不下来，{c}说等周日保养时再换。样品放仓库，已贴标签。",
    "给{c}送样并讲了配比，浓度先按5%，每天用折光仪测一次，记录表留在机台上。",
    "样品按要求送了两种粘度，{c}想对比一下温升。说好由我们每周来测一次。",
    "快递样品已收到，今天上门指导使用。操作工担心味道，现场闻过表示可以接受。",
];
const TRIAL: [&str; 8] = [
    "试用第一周：油温从57度降到53度，{c}自己也测了。泡沫正常，继续观察。",
    "试用两周回访，{m}运行正常，没有漏油加重。师傅说比{b}的清，{c}要求再跑半个月。",
    "试样反馈不理想：{x}没有明显改善。取样回去化验，怀疑旧油没有放干净。",
    "化验结果出来，旧油残留约15%，和{c}解释后同意清洗再试一次，清洗剂我们出。",
    "第二次试用十天，指标正常，刀具寿命{c}估计长了一成多。车间主任当面说可以用。",
    "试用期满，{c}在试用报告上签字，结论“可以使用，价格再议”。报告已拍照。",
    "现场测浓度掉到3%，是操作工直接加水。教他们先兑好再加，{c}让班长盯着。",
    "试用机台的工件放了十天没有锈，对照机台有三件有锈点，{c}拍了照给厂长看。",
];
const QUOTE: [&str; 6] = [
    "正式报价：{p} {k} {y}元/{u}，含税送到，月结30天。{c}说比{b}高一点，要向厂长汇报。",
    "按{c}要求重做报价单，{p}每{u}{y}元，一次十{u}以上另有返点。对方要求附检测服务的内容。",
    "厂长在场，报{p} {y}元，他只问能不能月结60天。答应回去请示。",
    "口头报过的价今天给了书面的，{p} {k}装{y}元。{c}透露{b}最近也来降价了。",
    "报价连同试用报告一起交给{c}，{p}按{y}元。说下周三开比价会。",
    "客户要三家比价，我们报{y}元不是最低，重点讲了换油周期和废液量，{c}认可。",
];
const BARGAIN: [&str; 7] = [
    "{c}转达厂长意见：质量认可，价格要再让3%。我说可以用年用量换价格，等他回复。",
    "比价结果我们排第二，{b}低五十块。和{c}算了一笔账：换油周期长两个月，全年反而省。",
    "谈付款：对方坚持月结90天，我们最多60天。僵在这里，约了经理一起来。",
    "经理陪同拜访，见到厂长。谈定先下两{u}试单，价格{y}元不变，送一次清洗。",
    "{c}说老板出差，合同压着没签。打听到{b}请他们吃过饭。",
    "再次沟通，对方同意{y}元，但要求留两{u}在仓库做安全库存，用了再结。已报内勤。",
    "电话跟进，{c}让把营业执照和检测资质发过去建供应商档案，基本定了。",
];
const ORDER: [&str; 4] = [
    "首单下来：{p} {o}{u}，单价{y}元，周五送货。{c}要求送货单写批号。",
    "签了年度供货协议，{p}按{y}元锁价半年，首批{o}{u}。厂长提出每季度做一次油样检测。",
    "收到采购单，{p} {o}{u}。交货时顺便把现场旧桶清走，{c}很满意。",
    "终于下单，{o}{u}，走月结。跟内勤确认了开票资料。",
];
const AFTER: [&str; 12] = [
    "例行回访，测了六台{m}的油温和污染度，数据都在范围内，报告给了{c}。库存还有两{u}。",
    "补货{o}{u}。{c}提到隔壁分厂也要用，给了联系人，下次一起去。",
    "投诉：{x}。到现场看是冷却器堵塞引起，不是油的问题，帮他们联系清洗，{c}接受。",
    "送货晚了一天，{c}有意见，车间差点停机。道歉并留了一{u}周转。",
    "对账，上月货款已安排，{c}说下周到账。顺便推荐防锈油，要了两瓶样。",
    "回访时碰到{b}业务员在等，{c}没见他。问了价格，他们降到比我们低八十。",
    "车间换了新主任，对我们不了解，重新介绍了一遍，约好月底做一次用油培训。",
    "给操作工讲了四十分钟用油常识，来了十五个人。{c}说这种服务别家没有。",
    "废液处理涨价，客户想减少换液次数，建议上撇油器和每周补杀菌剂，{c}要方案。",
    "电话回访，机器正常，订单比上月少两成，{p}用量跟着降，估计{n}{u}不到。",
    "中秋前拜访，送月饼两盒。{c}聊到明年要搬到新厂房，设备增加三分之一。",
    "取油样三份带回检测。上次的报告{c}贴在车间看板上了。",
];
const LOST: [&str; 3] = [
    "{c}告知已和{b}续签一年，主要是价格差七十。试用结果他们认可，明年比价再联系。",
    "对方订单下滑，停了一半{m}，暂时不换油。先转为潜在客户，三个月后再看。",
    "总部统一采购，本厂没有决定权，{c}帮不上忙。要走总部招标。",
];
const REMEDIES: [&str; 8] = [
    "送样一桶免费试，试用期间每周测一次",
    "取样化验，三天内把报告交给对方",
    "申请特价，用年用量换价格",
    "请技术部到现场做一次系统清洗",
    "换抗泡型再试一次，旧油彻底放净",
    "约厂长和经理见面谈付款方式",
    "先供小品种，打开进货渠道",
    "提供加油小车和滤油服务",
];
const SHORT: [&str; 6] = [
    "{c}不在，跟文员约了后天。",
    "电话联系，{c}在开会，让下午再打。",
    "到门口遇消防检查，不让进，改天。",
    "{c}请假，资料放前台。",
    "微信发了检测报告，{c}回复收到，周末看。",
    "打电话两次无人接，明天再联系。",
];

impl Stage {
    /// The status list's word.
    pub fn status(self) -> &'static str {
        match self {
            Stage::First => "初访",
            Stage::Needs => "了解设备/用量",
            Stage::Sample => "送样",
            Stage::Trial => "试样",
            Stage::Quote => "报价",
            Stage::Bargain | Stage::Lost => "议价/促成",
            Stage::Order | Stage::After => "签单",
        }
    }
}

impl Case {
    /// Writes the next visit and moves the case on.
    pub fn write(&mut self, dice: &mut Entropy) -> Note {
        if dice.below(12) == 0 {
            return self.missed(dice);
        }
        let (texts, kinds, purpose): (&[&str], &[&'static str], &'static str) = match self.stage {
            Stage::First => (&FIRST, &["上门", "上门", "上门"], "初次拜访"),
            Stage::Needs => (&NEEDS, &["上门", "上门", "电话"], "了解设备和用量"),
            Stage::Sample => (&SAMPLE, &["送样", "送样", "上门"], "送样"),
            Stage::Trial => (&TRIAL, &["上门", "上门", "电话"], "跟进试样"),
            Stage::Quote => (&QUOTE, &["上门", "微信", "上门"], "报价"),
            Stage::Bargain => (&BARGAIN, &["上门", "电话", "上门"], "议价促成"),
            Stage::Order => (&ORDER, &["上门", "电话", "来访"], "签单"),
            Stage::After => (&AFTER, &["上门", "上门", "电话"], "售后回访"),
            Stage::Lost => (&LOST, &["电话", "上门", "电话"], "跟进结果"),
        };
        let order = 2 + dice.below(self.monthly.max(2));
        let record = self.fill(pick(dice, texts), order, dice);
        let stage = self.stage;
        let mut note = Note {
            kind: pick(dice, kinds),
            purpose,
            record,
            result: "继续跟进",
            status: stage.status(),
            ..Note::default()
        };
        note.next = self.next_action(dice);
        match stage {
            Stage::Needs if dice.below(2) == 0 => {
                note.competitor_price = Some(self.product.yuan - 40 - dice.below(60) as i64)
            }
            Stage::Sample => note.sample = Some(("送样", pick(dice, &["1", "1", "2"]), None)),
            Stage::Trial => {
                let doubtful = ["不理想", "残留", "掉到"].iter().any(|word| note.record.contains(word));
                let results = if doubtful { ["待复测", "观察中"] } else { ["合格", "运行正常"] };
                note.sample = Some(("试样", "1", Some(pick(dice, &results))));
            }
            Stage::Quote => note.quote = Some((self.product, self.price)),
            Stage::Bargain if dice.below(3) == 0 => {
                self.price -= self.price / 50;
                note.quote = Some((self.product, self.price));
            }
            Stage::Order => note.result = "签单",
            Stage::Lost => note.result = "丢单",
            _ => {}
        }
        if stage == Stage::After && dice.below(5) == 0 {
            let other = self.trade.products[1 + dice.below(self.trade.products.len() as u64 - 1) as usize];
            note.quote = Some((other, other.yuan - dice.below(4) as i64 * 10));
        }
        if stage == Stage::After && note.record.contains("月饼") {
            note.gift = Some("月饼");
        }
        if note.record.contains("投诉") || note.record.contains("不理想") || dice.below(4) == 0 {
            note.problem = Some(pick(dice, self.trade.complaints).to_owned());
            note.countermeasure = Some(pick(dice, &REMEDIES).to_owned());
        } else if dice.below(3) > 0 && stage != Stage::Lost {
            note.countermeasure = Some(pick(dice, &REMEDIES).to_owned());
        }
        self.advance(dice);
        note
    }

    fn missed(&mut self, dice: &mut Entropy) -> Note {
        let text = pick(dice, &SHORT);
        let kind = if text.contains("电话") || text.contains("打") {
            "电话"
        } else if text.contains("微信") {
            "微信"
        } else {
            "上门"
        };
        let record = self.fill(text, 0, dice);
        Note {
            kind,
            purpose: "约见",
            record,
            result: "未见到人",
            status: self.stage.status(),
            next: Some(("再约".to_owned(), 1 + dice.below(3) as i64)),
            ..Note::default()
        }
    }

    fn fill(&self, text: &str, order: u64, dice: &mut Entropy) -> String {
        text.replace("{c}", &self.contact)
            .replace("{m}", pick(dice, self.trade.machines))
            .replace("{b}", self.competitor)
            .replace("{p}", self.product.name)
            .replace("{k}", self.product.pack)
            .replace("{u}", self.product.unit)
            .replace("{n}", &self.monthly.to_string())
            .replace("{o}", &order.to_string())
            .replace("{y}", &self.price.to_string())
            .replace("{x}", pick(dice, self.trade.complaints))
    }

    fn next_action(&self, dice: &mut Entropy) -> Option<(String, i64)> {
        let (texts, days): (&[&str], i64) = match self.stage {
            Stage::First => (&["带资料再访", "约设备课看机台", "寄产品手册"], 7),
            Stage::Needs => (&["取油样", "送检测报告", "确认换油机台"], 6),
            Stage::Sample => (&["到现场看加油", "电话问试用情况"], 4),
            Stage::Trial => (&["回访测油温", "收试用报告", "取样化验"], 7),
            Stage::Quote => (&["跟进比价结果", "补报价单"], 5),
            Stage::Bargain => (&["约厂长见面", "回复付款条件", "请示特价"], 4),
            Stage::Order => (&["跟送货", "送发票"], 5),
            Stage::After => (&["例行检测", "对账收款", "问补货", "送防锈油样"], 14),
            Stage::Lost => return None,
        };
        Some((pick(dice, texts).to_owned(), days + dice.below(5) as i64))
    }

    fn advance(&mut self, dice: &mut Entropy) {
        let moves = dice.below(10);
        self.stage = match self.stage {
            Stage::First => Stage::Needs,
            Stage::Needs if moves < 6 => Stage::Sample,
            Stage::Sample => Stage::Trial,
            Stage::Trial if moves < 6 => Stage::Quote,
            Stage::Quote => Stage::Bargain,
            Stage::Bargain if moves < 5 => Stage::Order,
            Stage::Bargain if moves == 9 => Stage::Lost,
            Stage::Order => Stage::After,
            Stage::Lost => Stage::Needs,
            stage => stage,
        };
        self.after += u64::from(self.stage == Stage::After);
    }

    /// A case with a factory.
    pub fn new(trade: Trade, contact: String, dice: &mut Entropy) -> Case {
        let product = trade.products[dice.below(2) as usize];
        let price = product.yuan - dice.below(6) as i64 * 10;
        Case {
            trade,
            product,
            competitor: pick(dice, &COMPETITORS),
            monthly: 2 + dice.below(11),
            price,
            contact,
            stage: Stage::First,
            after: 0,
        }
    }
}

/// Picks one.
pub fn pick<T: Copy>(dice: &mut Entropy, from: &[T]) -> T {
    from[dice.below(from.len() as u64) as usize]
}

/// What managers write below a visit.
pub const COMMENTS: [&str; 12] = [
    "试用报告尽快整理成册，下次谈价带上。",
    "付款条件不能超过60天，价格可以再谈，先问清楚年用量。",
    "这家用量不小，安排技术员一起去一次。",
    "跟进太慢了，距上次已经两周，注意节奏。",
    "漏油问题要写清楚是哪台机，拍照留底。",
    "做得好，检测服务这一点继续讲。",
    "竞品价格请核实来源，别被采购压价。",
    "新主任要尽快拜访，我可以陪同。",
    "下单后一周内回访一次，不要等投诉。",
    "请补充联系人电话。",
    "清洗费用公司出，先把机台定下来。",
    "丢单原因写具体一点，价格差多少、差在哪。",
];
