// An invented lubricant trader for pictures: customers, visits, quotes, a clash, late work. Written by
// headless phones, so that it went through everything that real work goes through.
const day = (ago, clock = '09:30') => {
  const date = new Date(Date.now() - ago * 86_400_000);
  const two = (n) => String(n).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}T${clock}:00+08:00`;
};
const plain = (ahead) => day(-ahead).slice(0, 10);

const FACTORIES = [
  ['烟台恒力机械有限公司', '恒力机械', '福山区', '王建国', '0535-6388112', 'B', '固定'],
  ['威海海润水产加工有限公司', '海润水产', '环翠区', '林芳', '13806311027', 'C', '新'],
  ['青岛泰丰模具制造有限公司', '泰丰模具', '城阳区', '孙志强', '13954280016', 'B1', '重要'],
  ['潍坊永盛液压件厂', '永盛液压', '坊子区', '刘洋', '0536-7652210', 'B', '固定'],
  ['烟台鑫源汽配有限公司', '鑫源汽配', '莱山区', '高敏', '13562519904', 'C', '潜在'],
  ['日照东港轧钢有限公司', '东港轧钢', '东港区', '陈立新', '0633-8225671', 'A', '重要'],
  ['淄博博山陶瓷机械厂', '博山陶机', '博山区', '郑凯', '13853390021', 'C', '新'],
  ['龙口中粮包装有限公司', '中粮包装', '龙口市', '吴晓梅', '13906458812', 'B', '固定'],
];

export function seed(company) {
  const phone = (...words) => company.phone('王磊', ...words);
  phone('login', company.url, '王磊');
  FACTORIES.forEach(([name, short, district, contact, number, level, category], index) => {
    phone('customer', 'add', '--name', name, '--short-name', short, '--phone', number, '--contact', contact,
      '--level', level, '--category', category, '--set', `district=${district}`, '--address', `${district}工业园${index + 3}号`);
  });
  const visit = (name, ...words) => phone('visit', 'add', name, ...words);
  visit('烟台恒力机械有限公司', '--at', day(46), '--text', '初次上门，见到设备科王建国。液压站 6 台，现用长城 46#，每月约 3 桶。对价格敏感，愿意试样。', '--met', '王建国', '--result', '继续跟进', '--purpose', '例行拜访');
  visit('烟台恒力机械有限公司', '--at', day(31), '--text', '送 46# 抗磨液压油样品 18 升一桶，约定在 2 号站试用两周。', '--countermeasure', '试用期间每周电话跟进一次油温和噪音', '--met', '王建国', '--result', '继续跟进', '--purpose', '送样');
  visit('烟台恒力机械有限公司', '--at', day(12), '--text', '试样两周，油温下降约 4 度，车间反馈噪音变小。采购要求月结 30 天。', '--problem', '账期要求高于我们的规定', '--countermeasure', '向经理申请首单货到付款、次单起月结', '--quote', '46#抗磨液压油|200L/桶|1850', '--quote', '46#抗磨液压油|18L/桶|260', '--next', '带账期方案再次上门', '--next-day', plain(-2), '--met', '王建国', '--result', '继续跟进', '--purpose', '报价');
  visit('青岛泰丰模具制造有限公司', '--at', day(3), '--text', '火花机油用量大，现用进口牌号。老板孙总在，同意先试一台。', '--countermeasure', '本周五前送 20 升样品', '--next', '送样', '--next-day', plain(1), '--met', '孙志强', '--result', '继续跟进', '--purpose', '新品介绍');
  visit('日照东港轧钢有限公司', '--at', day(5), '--text', '轧辊轴承脂签单 40 桶，分两批交货。', '--result', '签单', '--next', '安排第一批发货', '--next-day', plain(0), '--met', '陈立新');
  visit('潍坊永盛液压件厂', '--at', day(20), '--text', '仓库主管刘洋说现货充足，月底再谈。', '--result', '继续跟进', '--next', '电话回访', '--next-day', plain(-6));
  visit('龙口中粮包装有限公司', '--at', day(9), '--text', '食品级白油需要 NSF 证书，已寄资料。', '--result', '继续跟进', '--next', '确认证书收到', '--next-day', plain(2));
  visit('威海海润水产加工有限公司', '--at', day(0, '08:40'), '--text', '新客户，制冷机组 4 台，冷冻油一年换一次。', '--result', '继续跟进', '--met', '林芳');
  phone('sync');

  const assistant = (...words) => company.phone('李静', ...words);
  assistant('login', company.url, '李静');
  assistant('sync');
  for (const name of ['烟台恒力机械有限公司', '青岛泰丰模具制造有限公司', '日照东港轧钢有限公司', '潍坊永盛液压件厂', '龙口中粮包装有限公司']) assistant('ledger', 'accept', name);
  assistant('sync');
  phone('sync');

  const manager = (...words) => company.phone('周强', ...words);
  manager('login', company.url, '周强');
  manager('sync');
  manager('comment', '烟台恒力机械有限公司', '首单同意货到付款，次单起月结 30 天。把试样数据写成一页给采购。');
  manager('sync');

  // Both change the address without having seen each other's change.
  assistant('customer', 'edit', '烟台恒力机械有限公司', '--address', '福山区高新路 18 号');
  phone('customer', 'edit', '烟台恒力机械有限公司', '--address', '福山区高新路 16 号 3 号门');
  assistant('sync');
  phone('sync');

  // The rep edits a card that has meanwhile gone to somebody else.
  assistant('sync');
  assistant('ledger', 'transfer', '潍坊永盛液压件厂', '--to', '陈晓');
  assistant('sync');
  phone('customer', 'edit', '潍坊永盛液压件厂', '--address', '坊子区北海路 88 号');
  phone('visit', 'add', '潍坊永盛液压件厂', '--at', day(0, '10:20'), '--text', '电话确认月底补货 5 桶。', '--kind', '电话', '--result', '继续跟进');
  phone('sync');
}
