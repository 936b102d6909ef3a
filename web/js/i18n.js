// @ts-check

/** @typedef {"en" | "zh"} Locale */
/** @typedef {keyof typeof EN} MessageKey */

const EN = {
  "app.title": "Image Search",
  "app.skip": "Skip to the content",
  "app.language": "Language",
  "start.heading": "Find pictures that look alike",
  "start.lead": "Give one picture. The library answers with the most similar ones, and says how similar they are.",
  "start.drop": "Drop a picture anywhere on this page",
  "start.choose": "Choose a picture",
  "start.paste": "or paste one with",
  "start.accepts": "{formats}, up to {limit}",
  "start.label": "Picture to search with",
  "drag.release": "Release to search with this picture",
  "empty.heading": "The library is empty",
  "empty.lead": "Add pictures first, then come back: this page notices by itself.",
  "empty.run": "Start the service with a folder of pictures:",
  "empty.ingest": "Or add a folder to this library:",
  "query.heading": "Your picture",
  "query.stored": "From the library",
  "query.alt": "The picture you search with",
  "query.pasted": "Pasted picture",
  "query.another": "Choose another",
  "query.clear": "Clear",
  "query.open": "Open full picture",
  "query.size": "{width} × {height} px",
  "timing.heading": "Timings",
  "timing.fetch": "Fetch",
  "timing.decode": "Decode",
  "timing.embed": "Embed",
  "timing.search": "Search",
  "timing.total": "Total in the service",
  "timing.roundTrip": "Round trip",
  "results.loading": "Searching…",
  "results.count.one": "{n} similar picture",
  "results.count.other": "{n} similar pictures",
  "results.none": "Nothing found",
  "results.noneDetail": "The library holds no picture to compare with yet.",
  "results.waiting": "No results yet",
  "results.announce": "{count}. The first is {name}, score {score}.",
  "results.topK": "Show",
  "results.topKLabel": "Number of results",
  "results.more": "Load more",
  "results.loadingMore": "Loading…",
  "results.end": "These are all.",
  "result.searchWith": "Search with this picture: {name}, rank {rank}, score {score}",
  "result.searchHint": "Search with this",
  "result.open": "Open the full picture: {name}",
  "result.rank": "Rank {rank}",
  "result.score": "Score {score}",
  "result.identical": "Same picture",
  "result.nearDuplicate": "Nearly the same",
  "result.moreSources.one": "and {n} other name",
  "result.moreSources.other": "and {n} other names",
  "result.broken": "This picture cannot be shown",
  "status.connecting": "Connecting…",
  "status.warming": "Starting…",
  "status.away": "Not answering",
  "status.pictures.one": "{n} picture",
  "status.pictures.other": "{n} pictures",
  "status.heading": "The service",
  "status.open": "Service status: {summary}",
  "status.images": "Pictures",
  "status.collection": "Library",
  "status.model": "Model",
  "status.noModel": "none loaded",
  "status.why": "Why this model",
  "status.why.named": "named in the configuration",
  "status.why.library": "this library was built with it",
  "status.why.default": "what a new library takes",
  "status.dim": "Dimensions",
  "status.dimValue": "{n} dimensions",
  "status.projection": "Projection",
  "status.index": "Index",
  "status.vectors": "Vector store",
  "status.store": "Picture store",
  "status.formats": "Accepts",
  "status.limit": "Largest picture",
  "status.version": "Version",
  "status.versionValue": "version {version}",
  "status.cpu": "Processor",
  "status.memory": "Memory",
  "status.gpu": "Graphics",
  "status.address": "Address",
  "status.key": "Search key",
  "status.keyHeld": "held for this session",
  "status.keyForget": "Forget it",
  "status.last": "As last heard from the service.",
  "notice.away": "The service is not answering.",
  "notice.awayDetail": "It may be restarting. This page keeps trying and goes on by itself.",
  "notice.awaySearch": "Your search starts again as soon as the service is back.",
  "notice.warming": "The service is starting.",
  "notice.warmingDetail": "Searching will work in a moment; nothing needs to be done.",
  "notice.back": "The service is back.",
  "notice.tryNow": "Try now",
  "notice.retry": "Try again",
  "notice.dismiss": "Dismiss",
  "notice.reference": "Reference: {id}",
  "key.heading": "This library asks for a search key",
  "key.lead": "Whoever runs the service can give you one. It is kept until you close this tab, and nowhere else.",
  "key.refused": "That key was not accepted. Please check it and try again.",
  "key.label": "Search key",
  "key.submit": "Search with this key",
  "error.400": "The service did not understand the request",
  "error.403": "This key is not allowed to search",
  "error.404": "This is no longer in the library",
  "error.413": "The picture is too large",
  "error.415": "This kind of file is not supported",
  "error.422": "This picture cannot be used",
  "error.429": "Too many requests at the moment",
  "error.429Detail": "Please wait a little and try again.",
  "error.5xx": "The service could not finish the search",
  "error.away": "The service did not answer",
  "error.awayDetail": "Check that it is running; this page keeps trying.",
  "error.other": "The search did not work",
  "hint.notPicture": "“{name}” is not a picture.",
  "hint.nothing": "There was no picture in that. Copy or drag a picture itself, or a picture file.",
  "hint.emptyFile": "“{name}” is an empty file.",
  "hint.tooLarge": "“{name}” has {size}; this service takes pictures up to {limit}.",
  "hint.firstOnly": "Several files were given. Searching with the first picture, “{name}”.",
};

/** @type {Record<MessageKey, string>} */
const ZH = {
  "app.title": "以图搜图",
  "app.skip": "跳到主要内容",
  "app.language": "语言",
  "start.heading": "查找相似的图片",
  "start.lead": "给出一张图片，图库会返回最相似的图片，并告诉您相似程度。",
  "start.drop": "将图片拖放到页面任意位置",
  "start.choose": "选择图片",
  "start.paste": "或使用快捷键粘贴",
  "start.accepts": "支持 {formats}，最大 {limit}",
  "start.label": "用于搜索的图片",
  "drag.release": "松开鼠标，用这张图片搜索",
  "empty.heading": "图库还是空的",
  "empty.lead": "请先添加图片再回来，页面会自动感知。",
  "empty.run": "用一个图片文件夹启动服务：",
  "empty.ingest": "或将文件夹添加到当前图库：",
  "query.heading": "您的图片",
  "query.stored": "来自图库",
  "query.alt": "您用来搜索的图片",
  "query.pasted": "粘贴的图片",
  "query.another": "选择其他图片",
  "query.clear": "清除",
  "query.open": "查看原图",
  "query.size": "{width} × {height} 像素",
  "timing.heading": "耗时",
  "timing.fetch": "获取",
  "timing.decode": "解码",
  "timing.embed": "特征提取",
  "timing.search": "检索",
  "timing.total": "服务端合计",
  "timing.roundTrip": "往返",
  "results.loading": "正在搜索…",
  "results.count.one": "{n} 张相似图片",
  "results.count.other": "{n} 张相似图片",
  "results.none": "没有找到图片",
  "results.noneDetail": "图库中还没有可以比较的图片。",
  "results.waiting": "暂无结果",
  "results.announce": "{count}。第一张是 {name}，相似度 {score}。",
  "results.topK": "显示",
  "results.topKLabel": "结果数量",
  "results.more": "加载更多",
  "results.loadingMore": "正在加载…",
  "results.end": "已全部显示。",
  "result.searchWith": "用这张图片搜索：{name}，第 {rank} 名，相似度 {score}",
  "result.searchHint": "用这张图搜索",
  "result.open": "查看原图：{name}",
  "result.rank": "第 {rank} 名",
  "result.score": "相似度 {score}",
  "result.identical": "同一张图片",
  "result.nearDuplicate": "几乎相同",
  "result.moreSources.one": "另有 {n} 个名称",
  "result.moreSources.other": "另有 {n} 个名称",
  "result.broken": "无法显示这张图片",
  "status.connecting": "正在连接…",
  "status.warming": "正在启动…",
  "status.away": "没有响应",
  "status.pictures.one": "{n} 张图片",
  "status.pictures.other": "{n} 张图片",
  "status.heading": "服务状态",
  "status.open": "服务状态：{summary}",
  "status.images": "图片数量",
  "status.collection": "图库",
  "status.model": "模型",
  "status.noModel": "未加载",
  "status.why": "模型来源",
  "status.why.named": "由配置指定",
  "status.why.library": "图库由该模型建立",
  "status.why.default": "新图库的默认模型",
  "status.dim": "维度",
  "status.dimValue": "{n} 维",
  "status.projection": "降维",
  "status.index": "索引",
  "status.vectors": "向量存储",
  "status.store": "图片存储",
  "status.formats": "支持格式",
  "status.limit": "图片大小上限",
  "status.version": "版本",
  "status.versionValue": "版本 {version}",
  "status.cpu": "处理器",
  "status.memory": "内存",
  "status.gpu": "显卡",
  "status.address": "地址",
  "status.key": "搜索密钥",
  "status.keyHeld": "在本次会话中保留",
  "status.keyForget": "清除密钥",
  "status.last": "以上为服务最后一次返回的信息。",
  "notice.away": "服务没有响应。",
  "notice.awayDetail": "服务可能正在重启。页面会继续尝试，恢复后自动继续。",
  "notice.awaySearch": "服务恢复后会自动重新搜索。",
  "notice.warming": "服务正在启动。",
  "notice.warmingDetail": "稍等片刻即可搜索，无需任何操作。",
  "notice.back": "服务已恢复。",
  "notice.tryNow": "立即重试",
  "notice.retry": "重试",
  "notice.dismiss": "关闭",
  "notice.reference": "参考编号：{id}",
  "key.heading": "这个图库需要搜索密钥",
  "key.lead": "请向服务的管理者索取。密钥只保留到关闭此标签页为止，不会存到别处。",
  "key.refused": "密钥不正确，请检查后重试。",
  "key.label": "搜索密钥",
  "key.submit": "使用此密钥搜索",
  "error.400": "服务无法理解这个请求",
  "error.403": "此密钥没有搜索权限",
  "error.404": "图库中已没有这项内容",
  "error.413": "图片太大",
  "error.415": "不支持这种文件",
  "error.422": "无法使用这张图片",
  "error.429": "当前请求过多",
  "error.429Detail": "请稍候再试。",
  "error.5xx": "服务未能完成搜索",
  "error.away": "服务没有响应",
  "error.awayDetail": "请确认服务正在运行；页面会继续尝试。",
  "error.other": "搜索没有成功",
  "hint.notPicture": "“{name}”不是图片。",
  "hint.nothing": "其中没有图片。请复制或拖放图片本身，或一个图片文件。",
  "hint.emptyFile": "“{name}”是空文件。",
  "hint.tooLarge": "“{name}”大小为 {size}，此服务最大接受 {limit}。",
  "hint.firstOnly": "收到多个文件，使用第一张图片“{name}”搜索。",
};

/** @type {Record<Locale, Record<MessageKey, string>>} */
export const MESSAGES = { en: EN, zh: ZH };

/** @type {Locale[]} */
export const LOCALES = ["en", "zh"];

/**
 * The first language of the user's that the page speaks, else English.
 * @param {readonly string[]} preferred BCP 47 tags, best first
 * @returns {Locale}
 */
export function pickLocale(preferred) {
  for (const tag of preferred) {
    const found = LOCALES.find((locale) => tag.toLowerCase().split("-")[0] === locale);
    if (found) return found;
  }
  return "en";
}

/**
 * @typedef {object} Translator
 * @property {Locale} locale
 * @property {(key: MessageKey, params?: Record<string, string | number>) => string} t
 * @property {(stem: PluralStem, n: number) => string} plural
 * @property {(n: number) => string} number
 */

/** @typedef {"results.count" | "result.moreSources" | "status.pictures"} PluralStem */

/** @type {Map<Locale, Translator>} */
const translators = new Map();

/**
 * @param {Locale} locale
 * @returns {Translator}
 */
export function translator(locale) {
  const known = translators.get(locale);
  if (known) return known;
  const messages = MESSAGES[locale];
  const rules = new Intl.PluralRules(locale);
  const numbers = new Intl.NumberFormat(locale);
  /** @type {Translator["t"]} */
  const t = (key, params = {}) =>
    messages[key].replace(/\{(\w+)\}/g, (hole, name) => (name in params ? String(params[name]) : hole));
  /** @type {Translator} */
  const made = {
    locale,
    t,
    plural: (stem, n) => t(`${stem}.${rules.select(n) === "one" ? "one" : "other"}`, { n: numbers.format(n) }),
    number: (n) => numbers.format(n),
  };
  translators.set(locale, made);
  return made;
}

/**
 * Writes the fixed words of the document: `data-t` names an element's text, `data-t-label` its aria-label.
 * @param {Document} page
 * @param {Locale} locale
 */
export function translatePage(page, locale) {
  const { t } = translator(locale);
  page.documentElement.lang = locale === "zh" ? "zh-Hans" : "en";
  page.title = t("app.title");
  for (const element of page.querySelectorAll("[data-t]")) {
    element.textContent = t(/** @type {MessageKey} */ (element.getAttribute("data-t")));
  }
  for (const element of page.querySelectorAll("[data-t-label]")) {
    element.setAttribute("aria-label", t(/** @type {MessageKey} */ (element.getAttribute("data-t-label"))));
  }
}
